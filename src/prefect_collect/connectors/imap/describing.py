"""What ENVELOPE and BODYSTRUCTURE say of a message: its subject, and the metadata that the manifest keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import collapse_rfc2231_value, decode_params, parsedate_to_datetime
from typing import Any, Final

from prefect_collect.connectors.imap.folders import decoded_name
from prefect_collect.connectors.imap.responses import Value

_LONGEST_SUBJECT: Final = 80
"""Characters of the subject in an item's path."""

_LONGEST: Final = 1_500
"""Characters of a text, or of all texts of a list, in the metadata."""

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f/\\]+")
_SPACES: Final = re.compile(r"\s+")
_ENCODED: Final = re.compile(r"=\?[^?\s]+\?[bBqQ]\?")
_PEOPLE: Final = {"from": 2, "to": 5, "cc": 6, "bcc": 7}
"""The fields of ENVELOPE that hold addresses."""

_PARAMETERS: Final = 2
"""The field of BODYSTRUCTURE that holds a part's parameters."""

_DATE: Final = re.compile(r" *(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\Z")
MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def file_name(uid: int, envelope: Value) -> str:
    """Return the name of a message in an item's path: ``UID subject.eml``."""
    subject = _UNSAFE.sub("_", _SPACES.sub(" ", text(_field(envelope, 1)))).strip(" .")
    return f"{uid} {subject[:_LONGEST_SUBJECT].rstrip(' .')}.eml" if subject else f"{uid}.eml"


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


def metadata_of(attributes: dict[bytes, Any]) -> dict[str, Any]:
    """Return what the answer to FETCH says of a message; what it does not say is left out.

    ``message_id``, ``date`` (of the message, ISO 8601 with its zone; ``date_text`` if it is none), ``received``
    (INTERNALDATE, with the server's zone), ``from``, ``to``, ``cc``, ``bcc``, ``subject``, ``attachments`` (names) and
    ``labels``.
    """
    envelope = attributes.get(b"ENVELOPE")
    found: dict[str, Any] = {"message_id": _shortened(text(_field(envelope, 9)))}
    stated = _shortened(text(_field(envelope, 0)))
    try:
        found["date"] = parsedate_to_datetime(stated).isoformat() if stated else None
    except (ValueError, OverflowError, TypeError, IndexError):
        found["date_text"] = stated
    received = internal_date(attributes.get(b"INTERNALDATE"))
    found["received"] = received.isoformat() if received is not None else None
    for name, at in _PEOPLE.items():
        found[name] = _few(_addresses(_field(envelope, at)))
    found["subject"] = _shortened(text(_field(envelope, 1)))
    found["attachments"] = _few(_names(attributes.get(b"BODYSTRUCTURE")))
    labels = attributes.get(b"X-GM-LABELS")
    found["labels"] = _few(decoded_name(_plain(label)) for label in labels) if isinstance(labels, list) else None
    return {name: value for name, value in found.items() if value}


def text(value: Value) -> str:
    """Return a header's text, with its encoded words (RFC 2047) decoded as far as they can be."""
    plain = _plain(value)
    if _ENCODED.search(plain) is None:
        return plain
    try:
        return _storable("".join(_word(part, charset) for part, charset in decode_header(plain)))
    except (HeaderParseError, ValueError):
        return plain


def _word(part: str | bytes, charset: str | None) -> str:
    if isinstance(part, str):
        return part
    try:
        return part.decode(charset or "ascii", "replace")
    except (LookupError, ValueError):
        return part.decode("utf-8", "replace")


def _plain(value: Value) -> str:
    """Return bytes as text: UTF-8, as most that is not ASCII is, else Latin-1."""
    if not isinstance(value, bytes):
        return ""
    try:
        return _storable(value.decode())
    except UnicodeDecodeError:
        return _storable(value.decode("latin-1"))


def _storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _field(value: Value, at: int) -> Value:
    return value[at] if isinstance(value, list) and at < len(value) else None


def _addresses(people: Value) -> Iterator[str]:
    for person in people if isinstance(people, list) else ():
        name, mailbox, host = text(_field(person, 0)), _plain(_field(person, 2)), _plain(_field(person, 3))
        if not host:  # the beginning or the end of a group
            continue
        address = f"{mailbox}@{host}"
        yield f"{name} <{address}>" if name else address


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
    chosen = [("", ""), *((name, value) for name, value in pairs if name.split("*")[0] == wanted)]
    try:
        for name, value in decode_params(chosen)[1:]:
            if name == wanted:
                plain = collapse_rfc2231_value(value)
                return text(plain.strip('"').encode("utf-8", "replace"))
    except (ValueError, LookupError, TypeError):
        pass
    return next((value for _, value in chosen[1:]), "")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _few(texts: Iterator[str]) -> list[str]:
    """Return the texts, up to a bound; the last one then says how many there are beyond it."""
    found: list[str] = []
    size = more = 0
    for each in texts:
        size += len(each)
        if size > _LONGEST and found:
            more += 1
        else:
            found.append(_shortened(each))
    return [*found, f"… and {more:,} more"] if more else found
