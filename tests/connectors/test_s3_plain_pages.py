"""Pages of an S3 listing in the form that servers send: read without a tree, and the same as with one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.connectors.buckets._plain_page import plain_page
from prefect_collect.errors import SourceError
from tests.connectors.test_s3_pages import MANY, TAGS, outcome, read

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>bucket</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>"
    "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
)
WHEN = "<LastModified>2023-11-14T22:13:20.000Z</LastModified>"
FORMS = {
    "AWS": "<Contents><Key>p/a%01b</Key>" + WHEN + "<ETag>&quot;e1-2&quot;</ETag>"
    "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>3</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>",
    "MinIO": "<Contents><Key>p/a%01b</Key>" + WHEN + "<ETag>&#34;e1-2&#34;</ETag><Size>3</Size>"
    "<Owner><ID>x</ID><DisplayName>minio</DisplayName></Owner><StorageClass>STANDARD</StorageClass></Contents>",
    "moto": f"\n<Contents>\n  <Key>p/a%01b</Key>\n  {WHEN}\n  "
    '<ETag>"e1-2"</ETag>\n  '
    "<Size>3</Size>\n  <StorageClass>STANDARD</StorageClass>\n</Contents>\n",
}
PARTS = [
    b"<!-- -->", b"<![CDATA[x]]>", b"<x>", b"</x>", b"&amp;", b"&lt;", b"&#13;", b"\r", b"W/", b'"', b"\xff", b"+",
    b"\0", b"<Contents/>", b"<Key>p/z</Key>", b"<?x y?>", b"<Owner/>", b"&nope;", "é".encode(),
]  # fmt: skip


def page_of(form: str) -> bytes:
    """Return a page of two objects in that form."""
    other = FORMS[form].replace("a%01b", "c+d").replace("<Size>3", "<Size>0")
    return f"{HEAD}{FORMS[form]}{other}</ListBucketResult>".encode()


def by_tree(body: bytes) -> bytes:
    """Return the same page with a comment before its first element, so that a tree is made of it."""
    return body.replace(b"<L", b"<!----><L", 1)


@pytest.mark.parametrize("form", FORMS)
def test_the_forms_of_servers(form: str) -> None:
    """What these servers send is read without a tree, and is what the tree has."""
    body = page_of(form)
    plain = plain_page(body)
    assert plain is not None
    assert len(plain[1]) == 2
    assert plain_page(by_tree(body)) is None
    page = read(body)
    assert page == read(by_tree(body))
    assert [(entry.key, entry.size, entry.etag) for entry in page.entries] == [
        (b"p/a\x01b", 3, "e1-2"),
        (b"p/c d", 0, "e1-2"),
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"p/a%01b", b"p/a&amp;b"),
        (b"<Key>p/a%01b</Key>", b"<Key>p/a<b/></Key>"),
        (b"&quot;e1-2&quot;", b"W/&quot;e1-2&quot;"),
        (b"<Contents><Key>p/a", b"<x/><Contents><Key>p/a"),
        (b"</Contents><Contents>", b"</Contents><x/><Contents>"),
        (b"UTF-8", b"ISO-8859-1"),
        (b"<Size>3</Size>", b""),
        (b"STANDARD</StorageClass></Contents><Contents>", b"\xc3\xa9</StorageClass></Contents><Contents>"),
    ],
)
def test_other_forms_are_read_the_same(old: bytes, new: bytes) -> None:
    """A page in another form, or with other elements between, is what its tree says."""
    body = page_of("AWS").replace(old, new)
    assert read(body) == read(by_tree(body))


def test_objects_within_other_elements_are_none() -> None:
    """Objects that do not stand directly in the page are not counted, as their number then differs from KeyCount."""
    body = page_of("AWS").replace(b"<Contents>", b"<x><Contents>", 1).replace(b"</ListBucket", b"</x></ListBucket")
    assert plain_page(body) is not None
    for given_body in (body, by_tree(body)):
        with pytest.raises(SourceError, match="states 2 keys"):
            read(given_body)


@MANY
@given(st.data())
def test_a_damaged_page_is_read_the_same(data: st.DataObject) -> None:
    """Whatever bytes of a page are replaced: it is read as its tree says, or refused with the same code."""
    body = bytearray(page_of(data.draw(st.sampled_from([*FORMS]))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(body.index(b"<L") + 2, len(body)))
        until = data.draw(st.integers(at, min(len(body), at + 20)))
        body[at:until] = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from([*TAGS, *PARTS])))
    plain, tree = outcome(bytes(body)), outcome(by_tree(bytes(body)))
    if isinstance(plain, SourceError):
        assert isinstance(tree, SourceError)
        assert plain.code == tree.code
    else:
        assert plain == tree
