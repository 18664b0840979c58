"""XML that others wrote is read within bounds, or refused by the one error that its reader asks for."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.untrusted.bounded_xml import LONGEST_TAG, XmlReader
from tests.examples import examples

DOCUMENT = '<?xml version="1.0" encoding="{}"?><r xmlns="n:"><a b="é"><!-- c --><c/></a>&lt;é<![CDATA[<d>]]></r>'
SAID = ["+n: r 1", "+n: a 2 b=é", "+n: c 3", "-n: c 3", "-n: a 2", "<é<d>", "-n: r 1"]


class Refused(Exception):
    """The error that the tests ask for."""


def said(*pieces: bytes, most_deep: int = 8, has_namespaces: bool = True) -> list[str]:
    """Return what the reader calls its functions with, texts that follow each other as one."""
    found: list[str] = []
    texts: list[str] = []

    def flush() -> None:
        if texts:
            found.append("".join(texts))
            texts.clear()

    def start(name: str, attributes: dict[str, str]) -> None:
        flush()
        found.append(" ".join([f"+{name} {reader.depth}", *(f"{key}={value}" for key, value in attributes.items())]))

    def end(name: str) -> None:
        flush()
        found.append(f"-{name} {reader.depth}")

    reader = XmlReader(Refused, start, end, most_deep=most_deep, text=texts.append, has_namespaces=has_namespaces)
    for piece in pieces:
        reader.feed(piece)
    reader.feed(b"", last=True)
    assert reader.depth == 0
    return found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252", "cp437"])
def test_a_document_that_is_cut(encoding: str) -> None:
    """A document says the same wherever it is cut on its way, in every encoding that is read; a part is refused."""
    data = DOCUMENT.format(encoding).encode(encoding)
    for at in range(len(data)):
        assert said(data[:at], data[at:]) == SAID
        with pytest.raises(Refused, match="no whole XML"):
            said(data[:at])
    assert said(*(data[at : at + 1] for at in range(len(data)))) == SAID


def test_names_without_namespaces() -> None:
    """A name is what the document has, unless namespaces are asked for."""
    data = b"<x:r xmlns:x='n:'/>"
    assert said(data, has_namespaces=False) == ["+x:r 1 xmlns:x=n:", "-x:r 1"]
    assert said(data) == ["+n: r 1", "-n: r 1"]


@pytest.mark.parametrize(
    "encoding",
    ["shift_jis", "big5", "gb18030", "euc-kr", "utf-7", "utf-32", "idna", "punycode", "hex", "cp037", "none"],
)
def test_encodings_that_are_not_read(encoding: str) -> None:
    """A document in an encoding of several bytes, or one that is unknown or no encoding of text, is refused."""
    with pytest.raises(Refused, match="encoding"):
        said(f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode())


@pytest.mark.parametrize(
    "document",
    [
        b"<!DOCTYPE r><r/>",
        b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>',
        b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>',
        b'<!DOCTYPE r [<!ENTITY % a SYSTEM "file:///etc/passwd">%a;]><r/>',
    ],
)
def test_document_types_and_entities(document: bytes) -> None:
    """Document types are refused, and with them whatever entities they could define."""
    with pytest.raises(Refused, match="document type or entities"):
        said(document)
    with pytest.raises(Refused, match="no whole XML"):
        said(b"<r>&a;</r>")


def test_depth() -> None:
    """Elements are within each other as deep as is allowed, and not deeper."""
    assert len(said(b"<a>" * 8 + b"</a>" * 8)) == 16
    with pytest.raises(Refused, match="more than 8 deep"):
        said(b"<a>" * 9)


@pytest.mark.parametrize("begun", [b"<r><a ", b"<r><a b='", b"<r><!--", b"<r><?x "])
def test_a_tag_without_an_end(begun: bytes) -> None:
    """A tag or a comment that does not end is refused before it fills the memory; text may be as long as it likes."""
    spaces = b" " * (LONGEST_TAG // 4)
    with pytest.raises(Refused, match="a tag or comment in it has more than 4 MiB"):
        said(begun, *[spaces] * 5)
    assert said(b"<r>", *[spaces] * 5, b"</r>") == ["+r 1", spaces.decode() * 5, "-r 1"]


@pytest.mark.parametrize("wrong", [ValueError("a"), LookupError("b")])
def test_errors_of_the_functions(wrong: Exception) -> None:
    """What the functions of a reader raise passes through as it is, and is not taken for an unknown encoding."""

    def refuse(*_: object) -> None:
        raise wrong

    with pytest.raises(type(wrong)) as raised:
        XmlReader(Refused, refuse, refuse, most_deep=2).feed(b"<a/>")
    assert raised.value is wrong


_PARTS = st.sampled_from([
    b"<a>", b"</a>", b"<b c='d'>", b"</b>", b"<e/>", b"&#x41;", b"&x;", b"&#xd800;", b"<![CDATA[", b"]]>", b"<!--",
    b"-->", b"<?x ?>", b'<?xml version="1.0" encoding="', b'"?>', b"shift_jis", b"utf-16", b"\xff\xfe", b"\xef\xbb\xbf",
    b"<!DOCTYPE a [", b"<!ENTITY b 'c'>", b"]>", b"xmlns:x='", b"<x:a ", b"'", b">",
])  # fmt: skip


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.one_of(_PARTS, st.binary(max_size=6)), max_size=12), st.integers(1, 60), st.booleans())
def test_any_bytes(parts: list[bytes], size: int, has_namespaces: bool) -> None:
    """Whatever the bytes are, and however they are cut, they are read, or refused by the error asked for."""
    data = b"".join(parts)
    with suppress(Refused):
        said(*(data[at : at + size] for at in range(0, len(data), size)), has_namespaces=has_namespaces)
