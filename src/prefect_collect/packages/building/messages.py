"""Which items are messages, and what an index says of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

from prefect_collect.connectors.mail import texts
from prefect_collect.connectors.mail.header import LONGEST_HEADER, Header, metadata_of

_END: Final = re.compile(rb"\r?\n\r?\n")
_FIELD: Final = re.compile(rb"[!-9;-~]{1,998}[ \t]*:")
_KNOWN: Final = (b"from", b"date", b"subject", b"message-id", b"to", b"sender", b"received", b"return-path")
_ADDRESS: Final = re.compile(r"[!-?A-~]+@[!-?A-~]+")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """What a message's header says, as texts of an index."""

    date: str
    sender: str
    to: str
    cc: str
    subject: str
    message_id: str
    address: str

    def separator(self, received: datetime | None) -> bytes:
        """Return the line before the message in an mbox file (RFC 4155): address, and time in UTC by asctime.

        Args:
            received: When the message was received, if that is known; else its own date is taken.
        """
        at = received or _time(self.date) or _EPOCH
        day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
        clock = f"{at.hour:02d}:{at.minute:02d}:{at.second:02d}"
        return f"From {self.address} {day} {month} {at.day:2d} {clock} {at.year:04d}\n".encode()


def begun(chunks: Iterable[bytes | memoryview]) -> tuple[bytes, Iterator[bytes | memoryview]]:
    """Return the first bytes, with the whole header unless it is longer than 256 KiB, and all bytes."""
    head, kept, rest = b"", [], iter(chunks)
    for chunk in rest:
        data = bytes(chunk)
        kept.append(data)
        head += data[: LONGEST_HEADER - len(head)]
        if len(head) >= LONGEST_HEADER or _END.search(head):
            break
    return head, chain(kept, rest)


def header_of(head: bytes) -> Header | None:
    """Return the header of a message (RFC 5322); None if the item is none.

    An item is a message if it begins with header fields and nothing else up to the first empty line, one of which is
    From, Date, Subject, Message-ID, To, Sender, Received or Return-Path.
    """
    end = _END.search(head)
    block = head if end is None else head[: end.start()]
    lines = block.removesuffix(b"\n").split(b"\n")
    if end is None and len(head) >= LONGEST_HEADER:
        lines.pop()  # it may be cut off
    if not lines or _FIELD.match(lines[0]) is None:
        return None
    if not all(line[:1] in (b" ", b"\t") or line in (b"", b"\r") or _FIELD.match(line) for line in lines):
        return None
    header = Header(head)
    return header if any(header.all(name) for name in _KNOWN) else None


def message_of(head: bytes) -> Message | None:
    """Return what the header of a message says for an index; None if the item is no message, as `header_of` has it."""
    if (header := header_of(head)) is None:
        return None
    said = metadata_of(header)
    senders = texts.addresses(texts.plain(header.all(b"from")[0])) if header.all(b"from") else ()
    address = next((one for _, one in senders if _ADDRESS.fullmatch(one) and len(one) <= 320), "MAILER-DAEMON")
    return Message(
        _text(said.get("date") or said.get("date_text")), _text(said.get("from")), _text(said.get("to")),
        _text(said.get("cc")), _text(said.get("subject")), _text(said.get("message_id")), address,
    )  # fmt: skip


def _text(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def _time(date: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(date)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def received_at(stated: Any, modified: datetime | None, date: str) -> datetime | None:
    """Return when a message was received, in UTC: as the source states it, else the message's date, else `modified`.

    Args:
        stated: The metadata's ``received``.
        modified: When the source says that the item was modified.
        date: The date of the message's header.
    """
    return _time(stated if isinstance(stated, str) else "") or _time(date) or modified
