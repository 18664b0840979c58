"""What is collected: items as a source lists them, and what came of reading one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from prefect_collect.codes import CODES

STAGING_STORE: Final = "staging_store"
"""The code of the skipped item that stands for the staging store's folder in a source."""

LONGEST_MESSAGE: Final = 4_000
"""Characters of a failure's message; a longer one is cut."""

_HIGHEST_STATUS: Final = 999


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one item (or a whole job) did not succeed.

    `code` is a key of `prefect_collect.codes.CODES`; `message` names the item and can be shown to a person (what
    UTF-8 cannot hold in it is escaped, what is beyond `LONGEST_MESSAGE` cut); `http_status` is what a server answered,
    where one did (None if it is no status of HTTP).
    """

    code: str
    message: str
    http_status: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.code, str) or self.code not in CODES:
            raise ValueError(f"{self.code!r} is not an error code of prefect-collect; see prefect_collect.codes.")
        text = self.message if type(self.message) is str else str(self.message)
        if len(text) > LONGEST_MESSAGE:
            text = text[: LONGEST_MESSAGE - 1] + "…"
        if not text.isascii():
            text = text.encode("utf-8", "backslashreplace").decode()
        object.__setattr__(self, "message", text)
        status = self.http_status
        if status is not None and not (type(status) is int and 0 <= status <= _HIGHEST_STATUS):
            object.__setattr__(self, "http_status", None)

    @property
    def retryable(self) -> bool:
        """Whether a later try may succeed without anybody doing anything."""
        return CODES[self.code].retryable


@dataclass(frozen=True, slots=True)
class Item:
    """The smallest thing collected, as its source lists it.

    `id` names the item at its source, losslessly; `path` is where the source would put it in a tree ("/"-separated; it
    may be unsafe: the job makes it safe). What the listing does not say is None and is then not checked. `size` is in
    bytes, `modified` has a time zone. An item that the source knows it will not give has `skipped` (on purpose) or
    `failure` set, and is not opened; the path of a folder that could not be listed ends in "/". `expands` is the id of
    the folder item that this one was found in when a retry listed it again. `failed_since` is set by the job that
    tries an item again: when it first failed; `is_current` is then False if the size is an earlier listing's, so that
    another one is no sign of a change while it was read.
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

    An iterator that just stops proves nothing: a page that was cut off, a login page in place of a listing, a folder
    that vanished stop one too. `proof` says in words what the source itself said: ``"page 3 says IsTruncated=false"``,
    ``"EXISTS said 412, and 412 were listed"``, ``"the file was read to its last byte"``. `items` is the number of items
    that the source itself states for the whole listing; None if it states none. It is compared with the number of items
    that were yielded.
    """

    proof: str
    items: int | None = None


Listed = Item | ListingEnd
"""What `Source.items` yields: items and, last, one `ListingEnd`."""


@dataclass(slots=True)
class Content:
    """An opened item: its bytes, and what the source says of them at this moment.

    `chunks` gives the bytes in order, once. `etag`, `modified`, `size` and `version` are compared with the listing, to
    find an item that changed; a body that goes on beyond the size that was announced is cut there. `crc32` (of the
    whole content), `md5` and `sha256` (raw digests) are compared with what arrived. None: the source does not say.
    `finish`, if given, is called after the last chunk and raises if the item changed while it was read.
    """

    chunks: Iterable[bytes | memoryview]
    size: int | None = None
    modified: datetime | None = None
    etag: str | None = None
    crc32: int | None = None
    md5: bytes | None = None
    sha256: bytes | None = None
    version: str | None = None
    finish: FinishCheck | None = field(default=None, repr=False)


class FinishCheck(Protocol):
    """Called after the last byte of an item; raises if the item is not what it was at the start."""

    def __call__(self) -> None:
        """Raise if the item changed while it was read."""
