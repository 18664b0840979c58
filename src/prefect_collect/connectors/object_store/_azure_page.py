"""Reading a page of a listing of Azure; one of Google has the form of S3's (`connectors/buckets/s3_page.py`)."""

from __future__ import annotations

import re
from html import unescape
from typing import Final
from urllib.parse import unquote

from prefect_collect.connectors.buckets.page import Entry, Page, parsed, size_of, wrong_page
from prefect_collect.connectors.http.headers import http_date, plain_etag

_MARKER: Final = re.compile(rb"<NextMarker>([^<]{1,4096})</NextMarker>")


def marker_in(body: bytes) -> str | None:
    """Return the token that a page seems to have, before the page is read and proven."""
    found = _MARKER.findall(body)
    return unescape(found[0].decode(errors="replace")) if len(found) == 1 else None


def read_azure_page(body: bytes, container: str, prefix: str, place: str) -> Page:
    """Read the body of an answer to List Blobs. Folders of a hierarchical namespace are no blobs, and are left out.

    Raises:
        SourceError: With the code `enumeration_failed`, if the body is no whole page of the listing of `prefix` in
            `container`.
    """
    root = parsed(body, place)
    if root.tag != "EnumerationResults":
        raise wrong_page(f"the document is <{root.tag[:100]}> and not <EnumerationResults>", place)
    lists, nexts = root.findall("Blobs"), root.findall("NextMarker")
    if len(lists) != 1 or len(nexts) != 1:
        raise wrong_page("it has no list of blobs, or does not say whether it is the last one (NextMarker)", place)
    if (root.get("ContainerName") or container).rstrip("/").rpartition("/")[2] != container:
        raise wrong_page(f"it is of the container {root.get('ContainerName', '')[:100]}", place)
    if root.findtext("Delimiter") or lists[0].find("BlobPrefix") is not None:
        raise wrong_page("it leaves names out (BlobPrefix), which was not requested", place)
    entries = []
    for blob in lists[0].findall("Blob"):
        name, stated = blob.find("Name"), blob.find("Properties")
        if name is None or not name.text or stated is None:
            raise wrong_page("it names a blob without a name or properties", place)
        key = unquote(name.text) if name.get("Encoded") == "true" else name.text
        if not key.startswith(prefix):
            raise wrong_page(f"it names a blob outside of the prefix, {key[:200]!a}", place)
        if stated.findtext("ResourceType") == "directory":
            continue
        modified, created = (http_date(stated.findtext(name) or "") for name in ("Last-Modified", "Creation-Time"))
        entries.append(
            Entry(
                key.encode("utf-8", "surrogatepass"),
                size_of(stated.findtext("Content-Length") or ""),
                plain_etag(stated.findtext("Etag")),
                None if modified is None else modified.isoformat(),
                created=None if created is None else created.isoformat(),
            )
        )
    return Page(entries, nexts[0].text or None, None)
