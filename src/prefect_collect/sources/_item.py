"""What a source yields: items, the end of a listing, and the content of an opened item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from prefect_collect.codes import Failure

STAGING_STORE: Final = "staging_store"
"""The code of the skipped item that a job lists in place of the staging store, if the store lies in the source."""


@dataclass(frozen=True, slots=True)
class Item:
    """The smallest thing that is collected, as its source lists it.

    A field that the listing does not state is None, and is not checked.

    Attributes:
        id: The item's exact name at its source, unique in a listing.
        path: The item's place in the source's tree, "/"-separated. It may be unsafe: the job makes it safe. The path
            of a folder that could not be listed ends in "/".
        size: The size in bytes.
        modified: The time of the last change, with a time zone.
        etag: The entity tag, without quotes.
        version: The version that is read.
        skipped: Why the source leaves the item out on purpose; the item is not opened.
        failure: Why the source cannot deliver the item; the item is not opened.
        elsewhere: Why the item is not attempted: the source only names it, as it is kept elsewhere. The code is one of
            `prefect_collect.codes.ELSEWHERE`; the item is not opened, and no attempt tries it.
        expands: In a retry, the id of the folder item that could not be listed before and in which this item was
            found.
        failed_since: In a retry, the time at which the item first failed; set by the job.
        is_current: False in a retry if `size` is from an earlier listing; a different size then does not mean that
            the item changed while it was read. Set by the job. A source sets it where its listing does not prove what
            an item is: an incremental job then reads the item.
        created: When the item was created, with a time zone. It is kept as `created` in the item's metadata, and
            compared with nothing.
        named_by: The item whose bytes name this one, such as a file with a link to it: a query takes both, unless it
            excludes this one by its path.
        custodian: Whose the item is, as the source states it, such as the list of another system's export. A job's own
            patterns, folders and custodian go before it.
        holds: How the paths of the items begin that are listed in this one's place, as those in a ZIP file; "" if that
            is all items. A query that may take one of them takes this one, too.
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
    created: datetime | None = None
    elsewhere: Failure | None = None
    named_by: Item | None = None
    holds: str | None = None
    custodian: str | None = None

    @property
    def unread(self) -> Failure | None:
        """Why the item is not opened, as the listing already decides what comes of it; None if it is to be read."""
        return self.failure or self.skipped or self.elsewhere

    @property
    def outcome(self) -> str | None:
        """The outcome that the listing already decides: failed, skipped, not_attempted; None if it is to be read."""
        if self.failure is not None:
            return "failed"
        if self.skipped is not None:
            return "skipped"
        return None if self.elsewhere is None else "not_attempted"


@dataclass(frozen=True, slots=True)
class ListingEnd:
    """What a source yields last, after all its items: the proof that its listing is complete.

    An iterator that just stops proves nothing: it also stops at a page that was cut off, at a login page in place of a
    listing, and at a folder that vanished.

    Attributes:
        proof: The evidence, in words: ``"page 3 says IsTruncated=false"``, ``"EXISTS said 412, and 412 were
            listed"``, ``"the file was read to its last byte"``.
        items: The number of items that the source itself states for the whole listing, which is compared with the
            number of items that were yielded; None if it states none.
        warnings: Sentences for the result of the job.
    """

    proof: str
    items: int | None = None
    warnings: tuple[str, ...] = ()


Listed = Item | ListingEnd
"""The type of what `Source.items` yields: items and, last, one `ListingEnd`."""


@dataclass(slots=True)
class Content:
    """An opened item: its bytes, and what the source states about them when it is opened.

    A field that the source does not state is None.

    Attributes:
        chunks: The bytes in order; iterated once. A body longer than `size` is cut there.
        size: The size in bytes.
        modified: The time of the last change, with a time zone.
        etag: The entity tag, without quotes.
        crc32: The checksum of the whole content, as a number, like `crc32c` and `crc64nvme`; compared with the bytes
            that arrive.
        md5: The raw digest, like `sha1` and `sha256`; compared with the bytes that arrive.
        version: The version that is read. With `size`, `modified` and `etag` it is compared with the listing, to find
            an item that changed.
        finish: Called after the last chunk; raises if the item changed while it was read.
        metadata: What the source states of the item beside its bytes: names, with texts, numbers or lists of these.
            It is kept as JSON of at most 64 KiB in the column `metadata` of the manifest.
        listed_size_counts: False if the source may list another size than that of the bytes it sends (as IMAP servers
            do); the two are then not compared.
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
    metadata: Mapping[str, Any] | None = field(default=None, repr=False)
    listed_size_counts: bool = True


class FinishCheck(Protocol):
    """The function that is called after the last byte of an item."""

    def __call__(self) -> None:
        """Raise if the item changed while it was read."""
