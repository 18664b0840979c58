"""Reading messages: 100 small ones a FETCH, the next FETCH sent ahead; large ones streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.imap.batches import Batch, Batches
from prefect_collect.connectors.imap.describing import metadata_of
from prefect_collect.connectors.imap.folders import LABELS
from prefect_collect.connectors.imap.places import Place, identity, identity_of, place_of, require_same
from prefect_collect.connectors.imap.responses import BODY, BadAnswer, Literal, uid_of, uid_set
from prefect_collect.connectors.imap.session import Session
from prefect_collect.connectors.imap.sessions import Sessions
from prefect_collect.errors import SourceError
from prefect_collect.sources import MOST_AT_ONCE, Content, Item
from prefect_collect.threads.stop import current_stop


def read_many(sessions: Sessions, items: Iterable[Item]) -> Iterator[tuple[Item, Content | Exception]]:
    """Yield small messages whole, in the order in which they arrive; one that cannot be read with its error.

    If the connection is lost, the message that was being received fails, and the others are asked for once more.
    """
    batches = Batches(items)
    failed: SourceError | None = None
    while batches.has_more() and not current_stop().canceled:
        progress = batches.answered
        try:
            with sessions.session() as session:
                yield from _read_batches(session, batches)
        except SourceError as error:
            failed = error
        if failed is None:
            continue
        is_stuck = batches.answered == progress
        if (item := batches.drop_received()) is not None:
            yield item, failed
        if is_stuck:  # a new connection would not help
            yield from ((item, failed) for item in batches.drop_waiting())
        failed = None


def _read_batches(session: Session, batches: Batches) -> Iterator[tuple[Item, Content | Exception]]:
    """Yield what the server answers, with the next command sent ahead, as long as they are of the same folder."""
    for batch in batches.waiting:
        batch.tag = b""  # a command of a lost connection
    folder = None
    while batches.has_more():
        yield from batches.bad()
        if not batches.waiting:
            continue
        first = batches.waiting[0]
        try:
            selected = session.examine(first.folder, again=first.folder != folder)
            folder = first.folder
            require_same(selected, Place(first.folder, first.validity, 0), f"{session.place}/{first.folder}")
        except SourceError as error:
            if error.transient or not session.is_whole:
                raise
            yield from ((item, error) for item in batches.drop_waiting())
            continue
        for batch in batches.waiting:
            if (batch.folder, batch.validity) != (first.folder, first.validity):
                break
            if not batch.tag:
                batch.tag = session.send(_command(session, [*batch.items]))
        yield from _read_batch(session, batches, first)


def _command(session: Session, uids: list[int], names: bytes = b" BODY.PEEK[]") -> bytes:
    labels = b" X-GM-LABELS" if session.has(LABELS) else b""
    wanted = b"UID INTERNALDATE ENVELOPE BODYSTRUCTURE" + identity_of(session) + labels + names
    return b"UID FETCH " + uid_set(sorted(uids)) + b" (" + wanted + b")"


def _read_batch(session: Session, batches: Batches, batch: Batch) -> Iterator[tuple[Item, Content | Exception]]:
    """Yield what arrives until the batch's command is done; some of it may be of the command sent ahead."""
    try:
        for word, answer in session.answers(batch.tag):
            if word != b"FETCH":
                continue
            attributes: dict[bytes, Any] = {}
            for name, value in answer.attributes():
                if name == b"UID":
                    batches.received = batches.find(uid_of(value))
                attributes[name] = _held(value) if isinstance(value, Literal) else value
            batches.received = None
            if b"UID" in attributes and BODY in attributes:
                item = batches.take(uid_of(attributes[b"UID"]))
                if item is not None:
                    yield item, _content(item, attributes, session)
    except BadAnswer as error:
        raise session.not_imap(error) from error
    except SourceError as error:
        if not session.is_whole or error.code == "throttled":
            raise
        yield from ((item, error) for item in batches.drop_waiting())
        return
    yield from ((item, gone(item, session)) for item in batches.drop_waiting())


def _held(message: Literal) -> bytes | int:
    """Return a message's bytes, or their number if they are too many to be held."""
    return message.read() if message.size <= MOST_AT_ONCE else message.size


def _content(item: Item, attributes: dict[bytes, Any], session: Session) -> Content | Exception:
    body = attributes[BODY]
    if isinstance(body, int):
        what = f"It was listed as a small message, and the server sends {body:,} bytes: it is read alone"
        return source_error("source_error", what, f"{session.place}/{item.path}")
    if not isinstance(body, bytes):
        return gone(item, session)
    if not body and item.size:
        return _empty(item, session)
    place = place_of(item)
    return Content(
        [body],
        len(body),
        etag=identity(attributes, place.uidvalidity, place.uid),
        metadata=metadata_of(attributes),
        listed_size_counts=False,
    )


def _empty(item: Item, session: Session) -> SourceError:
    what = f"The server sent 0 bytes for a message that it listed with {item.size:,}"
    return source_error("truncated", what, f"{session.place}/{item.path}")


def gone(item: Item, session: Session) -> SourceError:
    """Return the error of a message that the server does not have any more."""
    what = "The message is gone: it was deleted or moved after it was listed"
    return source_error("not_found", what, f"{session.place}/{item.path}")


@contextmanager
def opened(sessions: Sessions, item: Item) -> Iterator[Content]:
    """Open one message of any size: its bytes are streamed."""
    place = place_of(item)
    where = f"{sessions.place}/{item.path}"
    with sessions.session() as session:
        require_same(session.examine(place.folder), place, where)
        attributes = _attributes(session, place)
        if attributes is None:
            raise gone(item, session)
        stream = _Stream(session, session.send(b"UID FETCH %d (UID BODY.PEEK[])" % place.uid), place.uid)
        if stream.size is None:
            raise gone(item, session)
        if not stream.size and item.size:
            raise _empty(item, session)
        yield Content(
            stream.chunks(),
            stream.size,
            etag=identity(attributes, place.uidvalidity, place.uid),
            metadata=metadata_of(attributes),
            finish=stream.finish,
            listed_size_counts=False,
        )


def _attributes(session: Session, place: Place) -> dict[bytes, Any] | None:
    """Return what the server says of a message; None if it is gone.

    The command is not pipelined with the one for the body, as Dovecot may answer that first. A session that has opened
    the folder before the message came is told of it by opening the folder again.
    """
    found = _described(session, place.uid)
    if found is None:
        session.examine(place.folder, again=True)
        found = _described(session, place.uid)
    return found


def _described(session: Session, uid: int) -> dict[bytes, Any] | None:
    found: dict[bytes, Any] | None = None
    try:
        for word, answer in session.answers(session.send(_command(session, [uid], b""))):
            if word == b"FETCH":
                attributes: dict[bytes, Any] = dict(answer.attributes())
                if b"ENVELOPE" in attributes and uid_of(attributes.get(b"UID")) == uid:
                    found = attributes
    except BadAnswer as error:
        raise session.not_imap(error) from error
    return found


class _Stream:
    """The message in the answer to a FETCH of one message; `size` is None if the answer has none."""

    def __init__(self, session: Session, tag: bytes, uid: int) -> None:
        self._session, self._uid = session, uid
        self._answers = self._bodies(tag)
        self._body = next(self._answers, None)
        self.size = self._body.size if isinstance(self._body, Literal) else None
        if isinstance(self._body, bytes):
            self.size = len(self._body)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes."""
        if isinstance(self._body, bytes):
            yield self._body
        elif self._body is not None:
            yield from self._body

    def finish(self) -> None:
        """Read the answers to their end. Raise SourceError if it was another message."""
        for _ in self._answers:
            pass

    def _bodies(self, tag: bytes) -> Iterator[Literal | bytes]:
        try:
            for word, answer in self._session.answers(tag):
                if word != b"FETCH":
                    continue
                for name, value in answer.attributes():
                    if name == BODY and isinstance(value, Literal | bytes):
                        yield value
                    if name == b"UID" and uid_of(value) != self._uid:
                        what = f"The server sent message {uid_of(value)} where {self._uid} was asked for"
                        raise source_error("source_error", what, self._session.place)
        except BadAnswer as error:
            raise self._session.not_imap(error) from error
