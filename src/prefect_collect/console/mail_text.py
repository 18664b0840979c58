"""An e-mail as text: its main headers, the names of its attachments, and its body.

The mail is not trusted: only its beginning is read, one with many parts is shown as it is, and no header is believed
about the length of anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from typing import Any, Final

_MOST_READ: Final = 2 << 20
_MOST_BOUNDARIES: Final = 20
"""The most `boundary=` in a mail that is taken apart: each line is compared with every boundary around it."""

_MOST_MESSAGES: Final = 100
"""The most `message/` in a mail that is taken apart: the parser calls itself for each mail within a mail."""

_MOST_BODY: Final = 512 << 10
_MOST_HEADER: Final = 4_000
"""Characters of a header that are read: the time to take one apart grows with the square of its length."""

_MOST_PARTS: Final = 200
_SHOWN: Final = ("From", "To", "Cc", "Bcc", "Reply-To", "Date", "Subject", "Message-ID")
_FIELD: Final = re.compile(rb"([!-9;-~]{1,70}):[ \t]?[^\r\n]*\r?\n")
_TELLING: Final = frozenset(
    {b"received", b"from", b"date", b"message-id", b"subject", b"return-path", b"mime-version", b"delivered-to", b"to"}
)


class _Bounded(Compat32):
    """Reads no more of a header than `_MOST_HEADER`."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:_MOST_HEADER]


POLICY: Final[Any] = _Bounded()
"""How mails are read here: with short headers."""


def is_mail(sample: bytes) -> bool:
    """Return whether content begins like an e-mail: with header fields, at least three of them a mail's."""
    head = sample.partition(b"\r\n\r\n" if b"\r\n\r\n" in sample else b"\n\n")[0] + b"\n"
    if _FIELD.match(head) is None:
        return False
    names = {found[1].lower() for line in head.splitlines(keepends=True) if (found := _FIELD.match(line))}
    return len(names & _TELLING) >= 3


def is_too_nested(mail: bytes) -> bool:
    """Return whether a mail may have more parts within each other than are taken apart."""
    plain = mail.lower()
    return plain.count(b"boundary=") > _MOST_BOUNDARIES or plain.count(b"message/") > _MOST_MESSAGES


def mail_text(content: bytes, size: int) -> str:
    """Return an e-mail of that size as text, by its beginning; one that cannot be taken apart is shown as it is."""
    part = content[:_MOST_READ]
    if is_too_nested(part):
        return _raw(part)
    try:
        message = message_from_bytes(part, policy=POLICY)
        lines = [*_headers(message), *_attachments(message), "", _body(message)]
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, HeaderParseError):
        return _raw(part)
    cut = "\n\n[The rest of the mail is not shown; download the item.]\n" if size > _MOST_READ else ""
    return "\n".join(lines) + cut


def _raw(content: bytes) -> str:
    return content[:_MOST_BODY].decode("utf-8", "replace")


def _headers(message: Message) -> Iterator[str]:
    for name in _SHOWN:
        for value in message.get_all(name, [])[:20]:
            yield f"{name}: {decoded_header(str(value))}"


def decoded_header(value: str) -> str:
    """Return a header with its encoded words decoded, in one line."""
    try:
        parts = decode_header(value)
    except (HeaderParseError, ValueError):
        return " ".join(value.split())
    text = "".join(part if isinstance(part, str) else _text(part, charset) for part, charset in parts)
    return " ".join(text.split())


def _text(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):
        return data.decode("latin-1")


def _leaves(message: Message) -> Iterator[Message]:
    for number, part in enumerate(message.walk()):
        if number == _MOST_PARTS:
            return
        if not part.is_multipart():
            yield part


def attached_mail(part: Message) -> Message | None:
    """Return the mail that a part consists of; None if it is no mail within a mail."""
    payload = part.get_payload() if part.get_content_type() == "message/rfc822" else None
    return payload[0] if isinstance(payload, list) and payload and isinstance(payload[0], Message) else None


def attached_name(part: Message) -> str | None:
    """Return the name of an attached file, or the subject of an attached mail; None for a part without any."""
    if name := part.get_filename():
        return decoded_header(str(name)) or None
    mail = attached_mail(part)
    return None if mail is None else f"{decoded_header(str(mail.get('Subject', ''))) or 'mail'}.eml"


def _attachments(message: Message) -> Iterator[str]:
    for number, part in enumerate(message.walk()):
        if number == _MOST_PARTS:
            return
        if (name := attached_name(part)) is not None:
            yield f"Attachment: {name} ({part.get_content_type()})"


def _body(message: Message) -> str:
    """Return the first part that is plain text, else the source of the first that is any text."""
    parts = [part for part in _leaves(message) if part.get_filename() is None]
    plain = [part for part in parts if part.get_content_type() == "text/plain"]
    texts = plain or [part for part in parts if part.get_content_maintype() == "text"]
    if not texts:
        return "[The mail has no text.]"
    payload = texts[0].get_payload(decode=True)
    text = _text(payload, texts[0].get_content_charset()) if isinstance(payload, bytes) else str(payload)
    return text[:_MOST_BODY].replace("\r\n", "\n")
