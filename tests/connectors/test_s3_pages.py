"""Reading pages of an S3 listing: any bytes give a proven page or a SourceError, never anything else."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.connectors.buckets.page import Page
from prefect_collect.connectors.buckets.s3_page import read_page
from prefect_collect.errors import SourceError
from tests.examples import examples

PAGE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<Name>bucket</Name><Prefix>p/</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>"
    "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>t0</NextContinuationToken>"
    "<Contents><Key>p/a%01b</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified><ETag>&quot;e1&quot;</ETag>"
    "<Size>3</Size></Contents><Contents><Key>p/c+d</Key><Size>0</Size></Contents></ListBucketResult>"
)
TAGS = [
    b"<Contents>", b"</Contents>", b"<Key>p/x</Key>", b"<IsTruncated>false</IsTruncated>", b"&#0;", b"&x;", b"<![",
]  # fmt: skip
MANY = settings(max_examples=examples(150), deadline=None)


def read(body: bytes | str, bucket: str = "bucket", prefix: str = "p/") -> Page:
    """Read a body as a page."""
    return read_page(body.encode() if isinstance(body, str) else body, bucket, prefix, f"s3://{bucket}/{prefix}")


def outcome(body: bytes | str) -> Page | SourceError:
    """Read a body as a page; return the page or the SourceError."""
    try:
        return read(body)
    except SourceError as error:
        return error


def test_a_page() -> None:
    """Keys are decoded, a missing field is None, and the token leads to the next page."""
    page = read(PAGE)
    assert [(entry.key, entry.size, entry.etag) for entry in page.entries] == [
        (b"p/a\x01b", 3, "e1"),
        (b"p/c d", 0, None),
    ]
    assert (page.token, page.stated) == ("t0", 2)
    last = read(PAGE.replace("true</IsT", "false</IsT").replace("<KeyCount>2</KeyCount>", ""))
    assert (last.token, last.stated) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (PAGE, "", "it is empty"),
        (PAGE, " \n ", "it is empty"),
        (PAGE, "<html><body>Sign in</body></html>", "is <html>"),
        (PAGE, "<!DOCTYPE html><html></html>", "begins with '<!DOCTYPE html>"),
        (PAGE, "<html><br></html>", "not XML, or was cut off"),
        (PAGE, '{"keys": []}', "not XML, or was cut off"),
        (PAGE, "<a>" * 50_000, "not XML, or was cut off"),
        (PAGE, "<a>" * 50_000 + "</a>" * 50_000, "is <a>"),
        (PAGE, "<a/>" * 2_100_000, "begins with '<a/>"),
        (PAGE, "\0\1\2", "not XML, or was cut off"),
        (PAGE, '<?xml version="1.0" encoding="nope"?><a/>', "not XML, or was cut off"),
        ("ListBucketResult", "ListVersionsResult", "<ListVersionsResult>"),
        ("<IsTruncated>true</IsTruncated>", "", "IsTruncated"),
        ("<IsTruncated>true", "<IsTruncated>maybe", "IsTruncated"),
        ("<IsTruncated>true", "<IsTruncated>false</IsTruncated><IsTruncated>true", "IsTruncated 2 times"),
        ("<NextContinuationToken>t0</NextContinuationToken>", "", "but not where"),
        ("<KeyCount>2", "<KeyCount>3", "states 3 keys"),
        ("<KeyCount>2", "<KeyCount>-1", "states -1 keys"),
        ("<KeyCount>2", "<KeyCount>" + "9" * 5000, "keys (KeyCount) and names 2"),
        ("<Name>bucket", "<Name>another", "of the bucket another"),
        ("<Prefix>p/", "<Prefix>q/", "of the prefix 'q/'"),
        ("<Key>p/c+d", "<Key>c+d", "outside of the prefix, 'c d'"),
        ("<Key>p/c+d</Key>", "", "without a key"),
        ("<MaxKeys>", "<CommonPrefixes><Prefix>p/x/</Prefix></CommonPrefixes><MaxKeys>", "leaves keys out"),
        ("<MaxKeys>", "<Delimiter>/</Delimiter><MaxKeys>", "leaves keys out"),
        ("%01", "\x01", "has a control character"),
        ("%01", "&#1;", "has a control character"),
    ],
)
def test_what_is_no_page(old: str, new: str, why: str) -> None:
    """Every document except a whole page that answers the request raises SourceError, which says what is wrong."""
    with pytest.raises(SourceError) as caught:
        read(PAGE.replace(old, new))
    assert caught.value.code == "enumeration_failed"
    assert caught.value.http_status is None
    assert why in str(caught.value)
    assert str(caught.value).endswith("[s3://bucket/p/]")


@pytest.mark.parametrize(
    ("code", "means"), [("SlowDown", "throttled"), ("InternalError", "source_error"), ("AccessDenied", "access_denied")]
)
def test_an_error_with_status_200(code: str, means: str) -> None:
    """An error document with the status 200, as S3 may send, raises its error, with the status 200."""
    with pytest.raises(SourceError, match=f"answered 200 {code}: So it is") as caught:
        read(f"<Error><Code>{code}</Code><Message>So it is.</Message></Error>")
    assert (caught.value.code, caught.value.http_status) == (means, 200)


def test_what_servers_differ_in() -> None:
    """Pages of other servers are accepted: no namespace, no KeyCount, an empty Prefix or Name, an encoded prefix, …"""
    bare = PAGE.replace(' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', "").replace("<KeyCount>2</KeyCount>", "")
    for said in ("<Prefix>p%2F</Prefix>", "<Prefix/>", ""):
        assert len(read(bare.replace("<Prefix>p/</Prefix>", said)).entries) == 2
    assert len(read(bare.replace("<Name>bucket</Name>", "<Name/>")).entries) == 2
    assert len(read(PAGE, "arn:aws:s3:eu-west-1:1:accesspoint/x").entries) == 2
    assert len(read(PAGE, "x-1-s3alias").entries) == 2
    assert read(PAGE.replace("<CommonPrefixes>", "").replace("<MaxKeys>", "<CommonPrefixes/><MaxKeys>")).token == "t0"


@pytest.mark.parametrize("size", ["-1", "1e3", "", "9" * 19, "9" * 5000, "٣", "0x10"])
def test_an_unusable_size_is_none(size: str) -> None:
    """An object with an unusable size does not spoil the page: its size is None, and not compared."""
    page = read(PAGE.replace("<Size>3", f"<Size>{size}"))
    assert [entry.size for entry in page.entries] == [None, 0]


@MANY
@given(st.binary(max_size=400))
def test_any_bytes(body: bytes) -> None:
    """Bytes that are no page raise SourceError with `enumeration_failed`."""
    with pytest.raises(SourceError) as caught:
        read(body)
    assert caught.value.code == "enumeration_failed"


@MANY
@given(st.data())
def test_a_page_that_was_damaged(data: st.DataObject) -> None:
    """A page with some bytes replaced, doubled or missing is still a page, or raises SourceError, and nothing else."""
    body = bytearray(PAGE.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        until = data.draw(st.integers(at, min(len(body), at + 40)))
        body[at:until] = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from(TAGS)))
    page = outcome(bytes(body))
    if isinstance(page, SourceError):
        assert str(page).endswith("[s3://bucket/p/]")
    else:
        assert all(entry.key.startswith(b"p/") for entry in page.entries)
        assert page.stated in (None, len(page.entries))


@MANY
@given(st.integers(0, len(PAGE.encode()) - 1))
def test_a_page_that_was_cut_off(at: int) -> None:
    """A page that was cut off is never a page."""
    with pytest.raises(SourceError):
        read(PAGE.encode()[:at])


@MANY
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.booleans())
def test_every_key_comes_back(keys: list[bytes], is_last: bool) -> None:
    """Keys of any bytes are read exactly, in their order, and so is whether the page is the last."""
    entries = "".join(f"<Contents><Key>{quote(b'p/' + key)}</Key><Size>1</Size></Contents>" for key in keys)
    more = "false" if is_last else "true"
    page = read(
        f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>"
        f"<NextContinuationToken>next</NextContinuationToken><KeyCount>{len(keys)}</KeyCount>{entries}</ListBucketResult>"
    )
    assert [entry.key for entry in page.entries] == [b"p/" + key for key in keys]
    assert page.token == (None if is_last else "next")


@MANY
@given(st.text(alphabet=string.printable + "&<>%\u2028é", max_size=60))
def test_any_text_in_any_field(text: str) -> None:
    """Any text in an element is read, or refused with SourceError."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    for field in ("Name", "Prefix", "KeyCount", "IsTruncated", "NextContinuationToken", "EncodingType", "ETag", "Size"):
        start = PAGE.index(f"<{field}>") + len(field) + 2
        body = PAGE[:start] + escaped + PAGE[PAGE.index(f"</{field}>") :]
        page = outcome(body)
        assert page.code == "enumeration_failed" if isinstance(page, SourceError) else len(page.entries) == 2
