"""A page of a listing in S3's form, which Google sends too: how it is asked for, its objects, and its proof.

The format is that of AWS's "ListObjectsV2" (response syntax). The further requirements on a page detect a login page,
a page that was cut off, and the answer of another server.

botocore's parser takes 11 to 15 times the CPU, 0.12 s for a page of 1,000 keys (``python -m benchmarks.libraries``),
and accepts any document as an empty page.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

from prefect_collect.connectors.buckets._plain_page import Stated, plain_page
from prefect_collect.connectors.buckets.listing import quoted
from prefect_collect.connectors.buckets.page import (
    MOST_TAGS,
    Entry,
    Page,
    Token,
    in_ascii,
    parsed,
    size_of,
    wrong_page,
)
from prefect_collect.connectors.errors import answer_error
from prefect_collect.connectors.http.headers import plain_etag
from prefect_collect.errors import SourceError

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ALIAS: Final = ("-s3alias", "--ol-s3", ".mrap")
"""Endings of aliases, for which a page states another name: of access points, Object Lambda and multi-region access
points."""

_NEXT: Final = re.compile(rb"<NextContinuationToken>([^<]{1,4096})</NextContinuationToken>")


def page_query(prefix: str, token: Token | None) -> str:
    """Return the query of ListObjectsV2 for the page with a token: in the order of the names, as they are signed."""
    start = "" if token is None else f"continuation-token={quoted(str(token))}&"
    return f"{start}encoding-type=url&list-type=2&prefix={quoted(prefix)}"


def token_in(body: bytes) -> str | None:
    """Return the token that a page seems to have, before the page is read and proven."""
    found = _NEXT.findall(body)
    return unescape(found[0].decode(errors="replace")) if len(found) == 1 else None


def read_page(
    body: bytes, bucket: str, prefix: str, place: str, *, versions: bool = False, has_flag: bool = True
) -> Page:
    """Read the body of an answer to ListObjectsV2, or to ListObjectVersions, with the status 200.

    Args:
        body: The body.
        bucket: The bucket that was asked for.
        prefix: The prefix that was asked for.
        place: The location, in which messages end.
        versions: Whether versions were asked for.
        has_flag: Whether every page has IsTruncated; else one without it may state its KeyCount and bucket instead.

    Raises:
        SourceError: With the code `enumeration_failed`, if the body is not a page of the listing of `prefix` in
            `bucket`, does not state whether it is the last, or contradicts itself; for an ``<Error>`` document, with
            the code of that error. The message says what is wrong and ends in `[place]`.
    """
    plain = None if versions or body.count(b"<") > MOST_TAGS else plain_page(body)
    root = parsed(body if plain is None else plain[0], place)
    space, name = _split_tag(root.tag)
    if name == "Error":
        raise _stated_error(root, space, place)
    wanted = "ListVersionsResult" if versions else "ListBucketResult"
    if name != wanted:
        raise wrong_page(f"the document is <{_cut(name)}> and not <{wanted}>", place)
    fields = _Fields(root, space, place)
    is_encoded = fields.text("EncodingType") == "url"
    _require_requested(fields, bucket, prefix, place)
    more = fields.text("IsTruncated").strip().lower()
    if not more and not has_flag and fields.text("KeyCount").strip() and fields.text("Name").strip():
        more = "true" if fields.text("NextContinuationToken") else "false"
    if more not in ("true", "false"):
        raise wrong_page("it does not say whether it is the last one (IsTruncated)", place)
    if plain is not None and len(root.findall(f"{space}Contents")) == 1:
        entries = _plain_entries(plain[1], prefix.encode(), place, is_encoded=is_encoded)
    elif plain is not None:
        entries = []  # what looks like objects stands inside of other elements
    else:
        entries = _entries(root, space, prefix.encode(), place, is_encoded=is_encoded, versions=versions)
    stated = None if versions else _stated(fields, len(entries), place)
    return Page(entries, _token(fields, place, is_encoded, versions) if more == "true" else None, stated)


def _token(fields: _Fields, place: str, is_encoded: bool, versions: bool) -> Token:
    """Return where the listing continues. Raise SourceError if the page does not say it."""
    if versions:
        key, version = fields.text("NextKeyMarker"), fields.text("NextVersionIdMarker")
        if key:
            # A marker is encoded as the keys are; boto3 takes it as the key itself.
            return (_decoded(key).decode("utf-8", "surrogateescape") if is_encoded else key), version
    elif token := fields.text("NextContinuationToken"):
        return token
    name = "NextKeyMarker" if versions else "NextContinuationToken"
    raise wrong_page(f"it says that the listing continues, but not where ({name})", place)


class _Fields:
    """The fields that a page states about itself, each at most once."""

    def __init__(self, root: ElementTree.Element, space: str, place: str) -> None:
        self._root, self._space, self._place = root, space, place

    def text(self, name: str) -> str:
        """Return the text of an element; "" if it is missing. Raise SourceError if it is there more than once."""
        found = self._root.findall(f"{self._space}{name}")
        if len(found) > 1:
            raise wrong_page(f"it says {name} {len(found)} times", self._place)
        return (found[0].text or "") if found else ""

    def rolled_up(self) -> int:
        """Return the number of common prefixes, which stand for keys that the page leaves out."""
        path = f"{self._space}CommonPrefixes/{self._space}Prefix"
        return sum(1 for found in self._root.findall(path) if found.text)


def _require_requested(fields: _Fields, bucket: str, prefix: str, place: str) -> None:
    """Raise SourceError if the page states that it answers another request than ours."""
    name = fields.text("Name").strip()
    if name and name != bucket and _BUCKET.fullmatch(bucket) and not bucket.endswith(_ALIAS):
        raise wrong_page(f"it is of the bucket {_cut(name)}", place)
    echoed = fields.text("Prefix")
    if echoed and prefix.encode() not in (echoed.encode(), _decoded(echoed)):
        raise wrong_page(f"it is of the prefix {_cut(echoed)!r}", place)
    if fields.text("Delimiter") or fields.rolled_up():
        raise wrong_page("it leaves keys out (Delimiter, CommonPrefixes), which was not requested", place)


def _plain_entries(objects: list[Stated], prefix: bytes, place: str, *, is_encoded: bool) -> list[Entry]:
    entries: list[Entry] = []
    for _, name, modified, etag, size in objects:
        is_raw = not is_encoded or (b"%" not in name and b"+" not in name)
        raw = name if is_raw else unquote_to_bytes(name.replace(b"+", b" "))
        _require_below(raw, prefix, place)
        entries.append(Entry(raw, size_of(size.decode()), plain_etag(etag.decode()), modified.decode()))
    return entries


def _require_below(key: bytes, prefix: bytes, place: str) -> None:
    if not key:
        raise wrong_page("it names an object without a key", place)
    if not key.startswith(prefix):
        raise wrong_page(f"it names an object outside of the prefix, {in_ascii(key[:200])}", place)


def _entries(
    root: ElementTree.Element, space: str, prefix: bytes, place: str, *, is_encoded: bool, versions: bool
) -> list[Entry]:
    contents, marker, key, size, etag, modified, version, latest = (
        f"{space}{name}"
        for name in ("Version" if versions else "Contents", "DeleteMarker", "Key", "Size", "ETag", "LastModified",
                     "VersionId", "IsLatest")
    )  # fmt: skip
    entries: list[Entry] = []
    for element in root:
        if element.tag != contents and not (versions and element.tag == marker):
            continue
        stated = {child.tag: child.text or "" for child in element}
        name = stated.get(key, "")
        raw = _decoded(name) if is_encoded else name.encode()
        _require_below(raw, prefix, place)
        entry = Entry(raw, size_of(stated.get(size, "")), plain_etag(stated.get(etag)), stated.get(modified))
        if versions:
            if not (id_ := stated.get(version, "").strip()):
                raise wrong_page(f"it names a version without an id, of {in_ascii(raw[:200])}", place)
            is_latest = stated.get(latest, "").strip().lower() == "true"
            entry = entry._replace(version=id_, is_latest=is_latest, is_deleted=element.tag == marker)
        entries.append(entry)
    return entries


def _stated(fields: _Fields, found: int, place: str) -> int | None:
    count = fields.text("KeyCount").strip()
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


def _split_tag(tag: str) -> tuple[str, str]:
    """Return the namespace of a tag, with its braces, and the name."""
    space, found, name = tag.rpartition("}")
    return space + found, name


def _cut(text: str) -> str:
    return text if len(text) <= 100 else text[:100] + "…"
