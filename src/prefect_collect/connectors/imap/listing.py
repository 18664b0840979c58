"""Listing the messages of a mailbox, folder by folder, with the proof that these are all."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from prefect_collect.codes import Failure
from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.imap.describing import MONTHS, file_name, received_at
from prefect_collect.connectors.imap.folders import LABELS, Folder, folders_of
from prefect_collect.connectors.imap.held_messages import HeldMessages
from prefect_collect.connectors.imap.places import Place, folder_id, identity, identity_of
from prefect_collect.connectors.imap.responses import BadAnswer, number, uid_of, uid_set
from prefect_collect.connectors.imap.session import Session
from prefect_collect.connectors.imap.sessions import Sessions
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.sources.listing import HeldItems
from prefect_collect.sources.query import Query
from prefect_collect.threads.retry_policy import RetryPolicy
from prefect_collect.threads.stop import current_stop

T = TypeVar("T")

AT_ONCE: Final = 500
"""The messages that one FETCH of the listing is about."""

_RETRY: Final = RetryPolicy()
_ZONES: Final = timedelta(days=1)
"""By how much a date of SEARCH, which has no zone and is the server's, can differ from one of UTC."""

_NAMED: Final = 20
_LARGEST: Final = (1 << 32) - 2
"""The largest number that SEARCH compares a size with."""


def messages(
    sessions: Sessions, wanted: str, search: str, query: Query | None = None, held: HeldItems | None = None
) -> Iterator[Listed]:
    """Yield the messages of the folders, and the listing's end.

    Args:
        sessions: The account's sessions.
        wanted: A folder with all below it, a special use, or "" for all.
        search: Search keys of IMAP that the messages match; "" for all messages.
        query: What the job takes: the server leaves out what this does not take, as far as it can tell.
        held: The messages that earlier jobs hold, which the server need not describe again.
    """
    proofs: list[str] = []
    warnings: list[str] = []
    stated = 0
    folders, labels = _tried(partial(_folders, sessions, wanted))
    for folder in folders:
        if query is not None and not query.may_match_below(f"{folder.path}/"):
            continue
        if (left_out := _left_out(folder, sessions, labels=labels)) is not None:
            stated += 1
            yield left_out
            continue
        listing = FolderListing(sessions, folder, search, query, held)
        try:
            yield from listing.items()
        except SourceError as error:
            if listing.uids is not None or error.code not in ("not_found", "access_denied"):
                raise
            stated += 1
            yield Item(folder_id(folder), f"{folder.path}/", failure=Failure(error.code, str(error)))
        else:
            stated += listing.stated
            proofs.append(listing.proof)
            warnings += [listing.warning] if listing.warning else []
    more = f"; and {len(proofs) - _NAMED:,} more folders" if len(proofs) > _NAMED else ""
    proof = f"{'; '.join(proofs[:_NAMED]) or 'LIST gave no folder to read'}{more}"
    yield ListingEnd(proof, items=stated, warnings=tuple(warnings[:_NAMED]))


def _folders(sessions: Sessions, wanted: str) -> tuple[list[Folder], bool]:
    """Return the folders, and whether messages have labels."""
    with sessions.session() as session:
        return folders_of(session, wanted), session.has(LABELS)


def _tried(ask: Callable[[], T]) -> T:
    """Return what a call returns that is tried again if it fails for a passing reason."""
    tried = 0
    while True:
        try:
            return ask()
        except SourceError as error:
            tried += 1
            if not error.transient or tried == _RETRY.tries:
                raise
            current_stop().wait(_RETRY.pause(tried))
            current_stop().require_going()


def _left_out(folder: Folder, sessions: Sessions, *, labels: bool) -> Item | None:
    where = f"[{sessions.place}/{folder.path}]"
    if folder.is_nameless:
        why = f"The folder's name is neither modified UTF-7 nor UTF-8; rename it on the server. {where}"
        return Item(folder_id(folder), f"{folder.path}/", failure=Failure("not_found", why))
    if folder.is_view and not labels:
        why = f"The folder shows messages of other folders, which are collected there; name it to collect it. {where}"
        return Item(folder_id(folder), f"{folder.path}/", skipped=Failure("virtual_folder", why))
    return None


class FolderListing:
    """The listing of one folder: SEARCH gives the UIDs, FETCH describes them. A lost connection is opened again.

    Messages that earlier jobs hold are not described again: under one UIDVALIDITY, a UID never means other bytes.
    """

    def __init__(
        self, sessions: Sessions, folder: Folder, search: str, query: Query | None, held: HeldItems | None = None
    ) -> None:
        self._sessions, self._folder, self._held_items = sessions, folder, held
        self._keys = search_keys(search, query)
        self._held: HeldMessages | None = None
        self.place = f"{sessions.place}/{folder.path}"
        self.uids: array[int] | None = None
        self.validity = 0
        self.gone = self.taken_over = 0
        self.warning = ""
        self._is_broken = False

    @property
    def stated(self) -> int:
        """The number of messages that the server states, without those that were deleted meanwhile."""
        return len(self.uids or ()) - self.gone

    @property
    def proof(self) -> str:
        """What proves that the listing is complete."""
        found = len(self.uids or ())
        said = f"SEARCH found {found:,}" if self._keys else f"EXISTS said {found:,}"
        gone = f", {self.gone:,} of which were deleted meanwhile" if self.gone else ""
        held = f", {self.taken_over:,} of which earlier jobs hold" if self.taken_over else ""
        return f"{self._folder.path} (UIDVALIDITY {self.validity}): {said}{gone}{held}"

    def items(self) -> Iterator[Item]:
        """Yield the messages; no session is held while the reader of them waits. Raise SourceError."""
        uids = self.uids = _tried(self._begin)
        if self._held_items is not None:
            self._held = _tried(partial(self._compared, self._held_items, uids))
        for at in range(0, len(uids), AT_ONCE):
            wanted = uids[at : at + AT_ONCE].tolist()
            found = {} if self._held is None else self._held.among(wanted)
            self.taken_over += len(found)
            new = [uid for uid in wanted if uid not in found]
            found |= _tried(partial(self._next, new)) if new else {}
            if self._is_broken:
                found = {uid: replace(item, is_current=False) for uid, item in found.items()}
            yield from (found[uid] for uid in wanted if uid in found)

    def _begin(self) -> array[int]:
        """Open the folder, and return the UIDs of its messages."""
        with self._sessions.session() as session:
            self.validity = session.examine(self._folder.wire, again=True).uidvalidity
            return self._found(session)

    def _next(self, wanted: list[int]) -> dict[int, Item]:
        with self._session() as session:
            return self._described(session, wanted)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._sessions.session() as session:
            selected = session.examine(self._folder.wire)
            if selected.uidvalidity != self.validity:
                what = f"The folder was recreated while it was listed: its UIDVALIDITY was {self.validity}"
                raise source_error("enumeration_failed", f"{what} and is {selected.uidvalidity}", self.place)
            yield session

    def _compared(self, items: HeldItems, uids: array[int]) -> HeldMessages | None:
        """Return the messages that are held; None, with a warning, if the server broke its promise about UIDs."""
        held = HeldMessages(items, self._folder.wire, self.validity)
        if not (last := held.last(uids)):
            self.warning = held.of_another_folder(self.place)
            return None
        with self._session() as session:
            self._is_broken = not held.is_same(last, self._fetched(session, [*last]))
        self.warning = held.broken(self.place) if self._is_broken else ""
        return None if self._is_broken else held

    def _found(self, session: Session) -> array[int]:
        """Return the UIDs of the messages, ascending; without search keys as many as EXISTS says."""
        for _ in range(_RETRY.tries):
            uids: array[int] = array("I")
            tag = session.send(b"UID SEARCH " + (self._keys or b"ALL"))
            for word, answer in session.answers(tag):
                if word == b"SEARCH":
                    uids.extend(self._numbers(session, answer.rest()))
            uids = array("I", sorted(set(uids)))
            if self._keys or len(uids) == session.exists:
                return uids
        what = f"EXISTS says {session.exists:,} messages, but SEARCH ALL finds {len(uids):,}"
        raise source_error("enumeration_failed", what, self.place)

    def _numbers(self, session: Session, text: bytes) -> array[int]:
        try:
            return array("I", [uid_of(each) for each in text.split() if not each.startswith((b"(", b"MODSEQ"))])
        except BadAnswer as error:
            raise session.not_imap(error) from error

    def _described(self, session: Session, wanted: list[int]) -> dict[int, Item]:
        """Return these messages; one that the server does not describe is asked for once more, and then fails."""
        found = self._fetched(session, wanted)
        if missing := [uid for uid in wanted if uid not in found]:
            tag = session.send(b"UID SEARCH UID " + uid_set(missing))
            left: set[int] = set()
            for word, answer in session.answers(tag):
                if word == b"SEARCH":
                    left.update(self._numbers(session, answer.rest()))
            self.gone += sum(uid not in left for uid in missing)
            still = [uid for uid in missing if uid in left]
            found |= self._fetched(session, still) if still else {}
            found |= {uid: self._failed(uid) for uid in still if uid not in found}
        return found

    def _fetched(self, session: Session, wanted: list[int]) -> dict[int, Item]:
        names = b"UID RFC822.SIZE INTERNALDATE ENVELOPE" + identity_of(session)
        tag = session.send(b"UID FETCH " + uid_set(wanted) + b" (" + names + b")")
        asked = set(wanted)
        found: dict[int, Item] = {}
        try:
            for word, answer in session.answers(tag):
                if word == b"FETCH":
                    attributes: dict[bytes, Any] = dict(answer.attributes())
                    if b"UID" in attributes and b"RFC822.SIZE" in attributes:
                        item = self._item(attributes)
                        if (uid := uid_of(attributes[b"UID"])) in asked:
                            found[uid] = item
        except BadAnswer as error:
            raise session.not_imap(error) from error
        return found

    def _item(self, attributes: dict[bytes, Any]) -> Item:
        uid = uid_of(attributes[b"UID"])
        return Item(
            Place(self._folder.wire, self.validity, uid).id,
            f"{self._folder.path}/{file_name(uid, attributes.get(b'ENVELOPE'))}",
            number(attributes[b"RFC822.SIZE"]),
            received_at(attributes.get(b"INTERNALDATE")),
            identity(attributes, self.validity, uid),
        )

    def _failed(self, uid: int) -> Item:
        why = f"The server has the message, but does not describe it. [{self.place}/{uid}]"
        place = Place(self._folder.wire, self.validity, uid)
        return Item(place.id, f"{self._folder.path}/{uid}.eml", failure=Failure("source_error", why))


def search_keys(search: str, query: Query | None) -> bytes:
    """Return the keys for UID SEARCH: the source's own, and a superset of what the query takes; b"" for all."""
    keys = [] if not search else [search.encode()]
    if query is not None:
        if query.modified_after is not None and query.modified_after.year > 1:
            keys.append(b"SINCE " + _day(query.modified_after - _ZONES))
        if query.modified_before is not None and query.modified_before.year < 9999:
            keys.append(b"BEFORE " + _day(query.modified_before + 2 * _ZONES))
        if query.min_size:
            keys.append(b"LARGER %d" % min(query.min_size - 1, _LARGEST))
        if query.max_size is not None and query.max_size < _LARGEST:
            keys.append(b"SMALLER %d" % (query.max_size + 1))
    return b" ".join(keys)


def _day(at: datetime) -> bytes:
    return f"{at.day}-{MONTHS[at.month - 1].title()}-{at.year:04}".encode()
