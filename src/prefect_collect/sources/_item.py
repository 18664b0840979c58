"""Items as a source lists them, the end of a listing, an opened item, and why one failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from prefect_collect.codes import Failure

STAGING_STORE: Final = "staging_store"
"""The code of the skipped item that stands for the staging store's folder in a source."""


@dataclass(frozen=True, slots=True)
class Item:
    """The smallest thing collected, as its source lists it.

    A field that the listing does not state is None, and is not checked.

    Attributes:
        id: the item's exact name at its source, unique in a listing.
        path: where the source puts it in a tree, "/"-separated; it may be unsafe, and the job makes it safe. The path
            of a folder that could not be listed ends in "/".
        size: bytes.
        modified: with a time zone.
        etag: the entity tag, without quotes.
        version: the version that is read.
        skipped: why the source leaves the item out on purpose; it is not opened.
        failure: why the source cannot give the item; it is not opened.
        expands: in a retry, the id of the folder item that could not be listed before, in which this one was found.
        failed_since: in a retry, when the item first failed; set by the job.
        is_current: False in a retry if `size` is from an earlier listing: another size is then no sign that the item
            changed while it was read. Set by the job.
    """

    id: str
    path: str
    size: int | None = None
    modified: datetime | None = None
    etag: str | None = None
    version: str | None = None
    skipped: Failure | None = None
    failure: Failure | None = None
    expands: str | None = None
    failed_since: datetime | None = None
    is_current: bool = True


@dataclass(frozen=True, slots=True)
class ListingEnd:
    """What a source yields last, after all its items: the proof that its listing came to its end.

    An iterator that just stops proves nothing: it also stops at a page that was cut off, at a login page in place of a
    listing, and at a folder that vanished.

    Attributes:
        proof: what the source itself said, in words: ``"page 3 says IsTruncated=false"``, ``"EXISTS said 412, and 412
            were listed"``, ``"the file was read to its last byte"``.
        items: the number of items that the source itself states for the whole listing, which is compared with the
            number of items that were yielded; None if it states none.
    """

    proof: str
    items: int | None = None


Listed = Item | ListingEnd
"""What `Source.items` yields: items and, last, one `ListingEnd`."""


@dataclass(slots=True)
class Content:
    """An opened item: its bytes, and what the source says of them at this moment.

    `chunks` yields the bytes in order, once. `etag`, `modified`, `size` and `version` are compared with the listing, to
    find an item that changed; a body that goes on beyond the size that was announced is cut there. `crc32`, `crc32c`
    and `crc64nvme` (numbers, of the whole content), `md5`, `sha1` and `sha256` (raw digests) are compared with what
    arrived. None: the source does not say. `finish`, if given, is called after the last chunk and raises if the item
    changed while it was read.
    """

    chunks: Iterable[bytes | memoryview]
    size: int | None = None
    modified: datetime | None = None
    etag: str | None = None
    crc32: int | None = None
    md5: bytes | None = None
    sha256: bytes | None = None
    version: str | None = None
    sha1: bytes | None = None
    crc32c: int | None = None
    crc64nvme: int | None = None
    finish: FinishCheck | None = field(default=None, repr=False)


class FinishCheck(Protocol):
    """Called after the last byte of an item; raises if the item is not what it was at the start."""

    def __call__(self) -> None:
        """Raise if the item changed while it was read."""
