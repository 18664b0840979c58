"""Reading one page of an S3 listing: the objects that it names, and the proof that it is such a page at all.

The format is that of AWS's "ListObjectsV2" (response syntax). What is required of a page beyond its objects is what
makes a login page, a page that was cut off or another server's answer be found out.

botocore's parser takes 11 to 15 times the CPU, 0.12 s for a page of 1,000 keys (``python -m benchmarks.libraries``),
and takes any document for an empty page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

from prefect_collect.connectors.errors import answer_error, source_error
from prefect_collect.connectors.s3.headers import plain_etag
from prefect_collect.errors import SourceError

MOST_BYTES: Final = 64 << 20
"""Bytes up to which a page is received: 1,000 keys of the longest kind take 4 MiB, and some servers give more keys."""

_MOST_TAGS: Final = 2_000_000
_LARGEST: Final = (1 << 63) - 1
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ALIAS: Final = ("-s3alias", "--ol-s3", ".mrap")
"""Ends of names that stand for another bucket: of access points, of Object Lambda, of multi-region access points."""

_RAW_CONTROL: Final = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#0*(?:[0-8]|1[124-9]|2[0-9]|3[01]);|&#[xX]0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]);"
)
"""Control characters, raw and as character references, that XML 1.0 cannot hold ("Char", section 2.2)."""


class Entry(NamedTuple):
    """An object as a page names it: its key's bytes, and what the page says of it."""

    key: bytes
    size: int | None
    etag: str | None
    modified: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is proven to be one; `token` leads to the next, None: the page says that it is the last.

    `stated` is the number of objects that the page itself states, None if it does not.
    """

    entries: list[Entry]
    token: str | None
    stated: int | None


def read_page(body: bytes, bucket: str, prefix: str, place: str) -> Page:
    """Read the body of an answer to ListObjectsV2 that was given with a status of 200.

    Raises:
        SourceError: `enumeration_failed` if the body is anything but a page of the listing of `prefix` in `bucket`
            that says whether it is the last one, and whose numbers agree; for an ``<Error>`` document what that means.
            The message says what is wrong and ends in `[place]`.
    """
    root = _parsed(body, place)
    space, name = _split(root.tag)
    if name == "Error":
        raise _stated_error(root, space, place)
    if name != "ListBucketResult":
        raise wrong_page(f"the document is <{_cut(name)}> and not <ListBucketResult>", place)
    said = _Fields(root, space, place)
    is_encoded = said.text("EncodingType") == "url"
    _require_asked_for(said, bucket, prefix, place)
    more = said.text("IsTruncated").strip().lower()
    if more not in ("true", "false"):
        raise wrong_page("it does not say whether it is the last one (IsTruncated)", place)
    entries = _entries(root, space, prefix.encode(), place, is_encoded=is_encoded)
    stated = _stated(said, len(entries), place)
    token = said.text("NextContinuationToken") if more == "true" else None
    if token == "":
        raise wrong_page("it says that the listing goes on, but not where (NextContinuationToken)", place)
    return Page(entries, token, stated)


def wrong_page(what: str, place: str) -> SourceError:
    """The error of an answer that is no page of the listing."""
    return source_error("enumeration_failed", f"The server's answer is no proven page of the listing: {what}", place)


def _parsed(body: bytes, place: str) -> ElementTree.Element:
    if not body.strip():
        raise wrong_page("it is empty", place)
    if b"<!DOCTYPE" in body or body.count(b"<") > _MOST_TAGS:
        raise wrong_page(f"it begins with {_start(body)}", place)
    try:
        return ElementTree.fromstring(body)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        control = _RAW_CONTROL.search(body)
        if control is not None and body.lstrip()[:1] == b"<":
            around = body[max(0, control.start() - 40) : control.end() + 20]
            raise wrong_page(
                "a key in it has a control character, which the server should have URL-encoded (encoding-type=url) and "
                f"has not, so that it is not XML; near {_text(around)}; the object has to be renamed, or the server "
                "mended",
                place,
            ) from error
        raise wrong_page(f"it is not XML, or was cut off ({error}); it begins with {_start(body)}", place) from error


class _Fields:
    """What a page says once, of itself."""

    def __init__(self, root: ElementTree.Element, space: str, place: str) -> None:
        self._root, self._space, self._place = root, space, place

    def text(self, name: str) -> str:
        """The text of an element that may be there once; "" if it is not."""
        found = self._root.findall(f"{self._space}{name}")
        if len(found) > 1:
            raise wrong_page(f"it says {name} {len(found)} times", self._place)
        return (found[0].text or "") if found else ""

    def rolled_up(self) -> int:
        """How many prefixes stand for keys that are not shown."""
        path = f"{self._space}CommonPrefixes/{self._space}Prefix"
        return sum(1 for found in self._root.findall(path) if found.text)


def _require_asked_for(said: _Fields, bucket: str, prefix: str, place: str) -> None:
    """Raise if the page is the answer to another question, as far as it says what it answers."""
    name = said.text("Name").strip()
    if name and name != bucket and _BUCKET.fullmatch(bucket) and not bucket.endswith(_ALIAS):
        raise wrong_page(f"it is of the bucket {_cut(name)}", place)
    echoed = said.text("Prefix")
    if echoed and prefix.encode() not in (echoed.encode(), _decoded(echoed)):
        raise wrong_page(f"it is of the prefix {_cut(echoed)!r}", place)
    if said.text("Delimiter") or said.rolled_up():
        raise wrong_page("it leaves keys out (Delimiter, CommonPrefixes), which it was not asked to", place)


def _entries(root: ElementTree.Element, space: str, prefix: bytes, place: str, *, is_encoded: bool) -> list[Entry]:
    contents, key, size, etag, modified = (
        f"{space}{name}" for name in ("Contents", "Key", "Size", "ETag", "LastModified")
    )
    entries: list[Entry] = []
    for element in root:
        if element.tag != contents:
            continue
        said = {child.tag: child.text or "" for child in element}
        name = said.get(key, "")
        raw = _decoded(name) if is_encoded else name.encode()
        if not raw:
            raise wrong_page("it names an object without a key", place)
        if not raw.startswith(prefix):
            raise wrong_page(f"it names an object outside of the prefix, {_text(raw[:200])}", place)
        entries.append(Entry(raw, _size(said.get(size, "")), plain_etag(said.get(etag)), said.get(modified)))
    return entries


def _stated(said: _Fields, found: int, place: str) -> int | None:
    count = said.text("KeyCount").strip()
    if not count:
        return None
    if count != str(found):
        raise wrong_page(f"it states {_cut(count)} keys (KeyCount) and names {found}", place)
    return found


def _stated_error(root: ElementTree.Element, space: str, place: str) -> SourceError:
    code, message = (root.findtext(f"{space}{name}") or "" for name in ("Code", "Message"))
    return answer_error(200, code.strip()[:100], message, place)


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))


def _size(text: str) -> int | None:
    """Bytes; None for what is no number of bytes, which is then not compared."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    size = int(text)
    return size if size <= _LARGEST else None


def _split(tag: str) -> tuple[str, str]:
    """The namespace with its braces, and the name."""
    space, found, name = tag.rpartition("}")
    return space + found, name


def _start(body: bytes) -> str:
    return _text(body.lstrip()[:60])


def _text(raw: bytes) -> str:
    return ascii(raw.decode(errors="replace"))


def _cut(text: str) -> str:
    return text if len(text) <= 100 else text[:100] + "…"
