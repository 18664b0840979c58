"""What a message's header (RFC 5322) says of it, read from its bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from prefect_collect.connectors.mail import texts

LONGEST_HEADER: Final = 256 << 10
"""The most bytes of a header that are looked at."""

_LONGEST_LIST: Final = 16 << 10
"""The most characters of a field with addresses that are parsed; the metadata holds fewer."""

_NAME: Final = re.compile(rb"[!-9;-~]{1,998}")
_PEOPLE: Final = ("from", "to", "cc", "bcc")
_FIRST: Final = (b"date", b"subject", b"x-gmail-labels")


class Header:
    """The fields of a header, as they stand in a message's first bytes."""

    def __init__(self, head: bytes) -> None:
        self._fields: dict[bytes, list[bytes]] = {}
        for name, value in _fields(head[:LONGEST_HEADER]):
            self._fields.setdefault(name, []).append(value)

    def all(self, name: bytes) -> list[bytes]:
        """Return the values of a field, by its name in small letters."""
        return self._fields.get(name, [])

    def text(self, name: bytes) -> str:
        """Return the first value of a field, decoded; "" if there is none."""
        values = self._fields.get(name)
        return texts.decoded(values[0]).strip() if values else ""


def _fields(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the fields, unfolded; a line that is not a field is passed over."""
    name, value = b"", b""
    for line in head.split(b"\n"):
        line = line.removesuffix(b"\r")
        if not line:
            break
        if line[:1] in (b" ", b"\t"):
            value += b" " + line.strip() if name else b""
            continue
        if name:
            yield name, value
        name, colon, value = line.partition(b":")
        name, value = name.rstrip().lower(), value.strip()
        if not colon or _NAME.fullmatch(name) is None:
            name = b""
    if name:
        yield name, value


def metadata_of(header: Header) -> dict[str, Any]:
    """Return what the header says, in the form of all sources of mail; what it does not say is left out.

    ``message_id``, ``date`` (ISO 8601 with its zone; ``date_text`` if not a date), ``from``, ``to``, ``cc``, ``bcc``,
    ``subject`` and ``labels`` (Google's ``X-Gmail-Labels``).
    """
    date, subject, labels = (header.text(name) for name in _FIRST)
    message_id = texts.plain(next(iter(header.all(b"message-id")), b"")).strip()
    found: dict[str, Any] = {"message_id": texts.shortened(message_id)}
    found |= texts.described_date(date)
    for name in _PEOPLE:
        found[name] = texts.few(_people(header.all(name.encode())))
    found["subject"] = texts.shortened(subject)
    found["labels"] = texts.few(label.strip() for label in labels.split(",") if label.strip())
    return {name: value for name, value in found.items() if value}


def _people(values: list[bytes]) -> Iterator[str]:
    for value in values:
        for name, address in texts.addresses(texts.plain(value)[:_LONGEST_LIST]):
            if address:
                yield texts.person(texts.decoded_words(name), address)
