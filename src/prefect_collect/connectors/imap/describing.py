"""What ENVELOPE and BODYSTRUCTURE say of a message: its subject, and the metadata that the manifest keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from prefect_collect.connectors.imap.folders import decoded_name
from prefect_collect.connectors.imap.responses import Value
from prefect_collect.connectors.mail import texts

_PEOPLE: Final = {"from": 2, "to": 5, "cc": 6, "bcc": 7}
"""The fields of ENVELOPE that hold addresses."""

_PARAMETERS: Final = 2
"""The field of BODYSTRUCTURE that holds a part's parameters."""

_DATE: Final = re.compile(r" *(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\Z")
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def file_name(uid: int, envelope: Value) -> str:
    """Return the name of a message in an item's path: ``UID subject.eml``."""
    return texts.named(uid, text(_field(envelope, 1)))


def internal_date(value: Value) -> datetime | None:
    """Return an INTERNALDATE (`` 1-Feb-2026 10:00:00 +0100``), when the server received the message; None if none."""
    found = _DATE.match(value.decode(errors="replace")) if isinstance(value, bytes) else None
    if found is None:
        return None
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
    zone = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    try:
        number = MONTHS.index(month.lower()) + 1
        return datetime(int(year), number, int(day), int(hour), int(minute), int(second), 0, timezone(zone))
    except (ValueError, OverflowError):
        return None


def received_at(value: Value) -> datetime | None:
    """Return an INTERNALDATE in UTC; None if there is none, or one outside the years 1 to 9999 of UTC."""
    there = internal_date(value)
    try:
        return None if there is None else there.astimezone(UTC)
    except OverflowError:
        return None


def metadata_of(attributes: dict[bytes, Any]) -> dict[str, Any]:
    """Return what the answer to FETCH says of a message; what it does not say is left out.

    ``message_id``, ``date`` (of the message, ISO 8601 with its zone; ``date_text`` if not a date), ``received``
    (INTERNALDATE, with the server's zone), ``from``, ``to``, ``cc``, ``bcc``, ``subject``, ``attachments`` (names) and
    ``labels``.
    """
    envelope = attributes.get(b"ENVELOPE")
    found: dict[str, Any] = {"message_id": texts.shortened(_plain(_field(envelope, 9)))}
    found |= texts.described_date(text(_field(envelope, 0)))
    received = internal_date(attributes.get(b"INTERNALDATE"))
    found["received"] = received.isoformat() if received is not None else None
    for name, at in _PEOPLE.items():
        found[name] = texts.few(_addresses(_field(envelope, at)))
    found["subject"] = texts.shortened(text(_field(envelope, 1)))
    found["attachments"] = texts.few(_names(attributes.get(b"BODYSTRUCTURE")))
    labels = attributes.get(b"X-GM-LABELS")
    found["labels"] = texts.few(decoded_name(_plain(label)) for label in labels) if isinstance(labels, list) else None
    return {name: value for name, value in found.items() if value}


def text(value: Value) -> str:
    """Return a header's text, with its encoded words (RFC 2047) decoded as far as they can be."""
    return texts.decoded(value) if isinstance(value, bytes) else ""


def _plain(value: Value) -> str:
    return texts.plain(value) if isinstance(value, bytes) else ""


def _field(value: Value, at: int) -> Value:
    return value[at] if isinstance(value, list) and at < len(value) else None


def _addresses(people: Value) -> Iterator[str]:
    for person in people if isinstance(people, list) else ():
        name, mailbox, host = text(_field(person, 0)), _plain(_field(person, 2)), _plain(_field(person, 3))
        if not host:  # the beginning or the end of a group
            continue
        yield texts.person(name, f"{mailbox}@{host}")


def _names(structure: Value) -> Iterator[str]:
    """Yield the file names of the parts, those of attached messages' parts included."""
    waiting: list[Value] = [structure]
    while waiting:
        part = waiting.pop()
        if not isinstance(part, list) or not part:
            continue
        if isinstance(part[0], list):
            waiting += [each for each in reversed(part) if isinstance(each, list) and _is_part(each)]
            continue
        if name := _file_name(part):
            yield name
        if _plain(part[0]).lower() == "message" and _plain(_field(part, 1)).lower() == "rfc822":
            waiting.append(_field(part, 8))


def _is_part(value: list[Value]) -> bool:
    """Return whether a list within a multipart is a part: it begins with a part, or with type and subtype."""
    return bool(value) and (isinstance(value[0], list) or (len(value) >= 7 and isinstance(value[1], bytes)))


def _file_name(part: list[Value]) -> str:
    for field in part[_PARAMETERS + 1 :]:
        is_disposition = isinstance(field, list) and len(field) == 2 and isinstance(field[0], bytes)
        if is_disposition and (name := _parameter(_field(field, 1), "filename")):
            return name
    return _parameter(part[_PARAMETERS] if len(part) > _PARAMETERS else None, "name")


def _parameter(parameters: Value, wanted: str) -> str:
    """Return a parameter, decoded by RFC 2231 or, as many programs write it, by RFC 2047."""
    if not isinstance(parameters, list):
        return ""
    pairs = [
        (_plain(name).lower(), _plain(value)) for name, value in zip(parameters[::2], parameters[1::2], strict=False)
    ]
    return texts.parameter(pairs, wanted)
