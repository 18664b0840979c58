"""Listing a bucket with libcurl, and with proof that the listing is complete.

botocore's listing takes twice the CPU even if its XML parser, which is most of its cost, is left out, and that parser
accepts any document as an empty page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from prefect_collect.codes import Failure
from prefect_collect.connectors.buckets.listing import Pages, pages_of, quoted
from prefect_collect.connectors.buckets.page import Entry, Token, time_of
from prefect_collect.connectors.buckets.progress import Progress
from prefect_collect.connectors.buckets.s3_page import page_query, read_page, token_in
from prefect_collect.connectors.errors import body_error
from prefect_collect.connectors.files.tree import encode_id, shown
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.http.pace import Pace
from prefect_collect.connectors.s3._versions import version_id
from prefect_collect.sources import Item, Listed


@dataclass(frozen=True)
class Listing:
    """What is listed, and how it is asked for.

    Attributes:
        bucket: The bucket.
        prefix: The start of the keys.
        versions: Every version of each object is an item, and so is every delete marker, which is skipped.
        prepare: Returns URL and header lines of a request to the bucket with this query.
        limits: The limits of each request, except for its whole time.
        pace: The pace of the server.
        hint: Returns, for an error's code and its status, what the user may have to set.
    """

    bucket: str
    prefix: str
    versions: bool
    prepare: Callable[[str], tuple[str, list[str]]]
    limits: Limits
    pace: Pace
    hint: Callable[[str, int], str]

    @property
    def place(self) -> str:
        """The location, in which messages end."""
        return f"s3://{self.bucket}/{self.prefix}"


def list_items(listing: Listing) -> Iterator[Listed]:
    """Yield the objects whose keys begin with the prefix, and the listing's end.

    Every answer must be proven to be a page (see `read_page`); if not, or if it has a temporary error, it is requested
    again a few times: a proxy may have answered instead of the server. Raise SourceError.
    """
    folder = len(listing.prefix[: listing.prefix.rfind("/") + 1].encode())
    progress = Progress(listing.place)
    with closing(pages_of(_pages(listing))) as pages:
        for page in pages:
            progress.take(page)
            for entry in page.entries:
                yield _item(entry, folder, listing.bucket)
    yield progress.end()


def _pages(listing: Listing) -> Pages:
    bucket, prefix, place, versions = listing.bucket, listing.prefix, listing.place, listing.versions
    return Pages(
        place,
        lambda token: listing.prepare(_query(listing, token)),
        lambda body: read_page(body, bucket, prefix, place, versions=versions),
        lambda body: None if versions else token_in(body),
        lambda status, body: body_error(status, body, place, listing.hint),
        listing.limits,
        listing.pace,
        listing.hint("", 0),
    )


def _query(listing: Listing, token: Token | None) -> str:
    """Return the query of a page's request: its parameters in the order of their names, as they are signed."""
    if not listing.versions:
        return page_query(listing.prefix, token)
    key, version = token if isinstance(token, tuple) else ("", "")
    after = f"key-marker={quoted(key)}&" if key else ""
    last = f"version-id-marker={quoted(version)}&" if version else ""
    return f"encoding-type=url&{after}prefix={quoted(listing.prefix)}&{last}versions="


def _item(listed: Entry, folder: int, bucket: str) -> Item:
    item_id = encode_id(listed.key)
    path = shown(listed.key[folder:]) or item_id
    modified = time_of(listed.modified)
    skipped = None
    if listed.is_deleted:
        place = f"[s3://{bucket}/{shown(listed.key)}]"
        skipped = Failure("delete_marker", f"A delete marker, version {listed.version}. {place}")
    elif listed.size == 0 and listed.key.endswith(b"/"):
        # Consoles and sync tools create these to show a folder; they contain nothing to collect.
        skipped = Failure("empty_folder", f"A folder marker of 0 bytes. [s3://{bucket}/{shown(listed.key)}]")
    if not listed.version:
        return Item(item_id, path, listed.size, modified, listed.etag, skipped=skipped)
    return Item(
        version_id(item_id, listed.version), path if listed.is_latest else _of_version(path, listed.version, modified),
        listed.size, modified, listed.etag, listed.version, skipped=skipped,
    )  # fmt: skip


def _of_version(path: str, version: str, modified: datetime | None) -> str:
    """Return the path of an earlier version: its time and the end of its id stand before the suffix."""
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    at = "" if modified is None else f"{modified:%Y-%m-%d %H%M%S} "
    return f"{folder}{slash}{stem} ({at}{version[-8:]}){dot}{suffix}"
