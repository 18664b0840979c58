"""The files and mails that are attached to an e-mail, also the files of mails inside it, taken out of it.

The mail is not trusted: one that would take much memory or time to take apart is refused, and one is taken apart at a
time.
"""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.message import Message
from email.parser import BytesParser
from io import BytesIO
from itertools import count
from typing import Any, Final

from prefect_collect.console.mail_text import POLICY, attached_mail, attached_name, is_too_nested
from prefect_collect.errors import ActionNotAllowed

MOST_BYTES: Final = 64 << 20
"""Bytes of the largest mail that is taken apart."""

_MOST_LINES: Final = 2_000_000
_MOST_PARTS: Final = 1_000
_ONE_AT_A_TIME: Final = threading.Lock()


class _TooManyParts(ValueError):
    """The mail has more parts than are taken apart."""


@dataclass(frozen=True)
class Attachment:
    """A file that is attached to an e-mail.

    Attributes:
        number: Its number in the mail, from 1.
        name: Its name; one without a name is "unnamed".
        media_type: Its content type, as the mail says.
        content: Its bytes, decoded.
    """

    number: int
    name: str
    media_type: str
    content: bytes


def attachments_of(mail: bytes) -> list[Attachment]:
    """Return the attachments of a mail. Raise ActionNotAllowed if it is not taken apart."""
    if len(mail) > MOST_BYTES or _lines(mail) > _MOST_LINES or is_too_nested(mail):
        raise ActionNotAllowed("The mail is too large, or has too many parts, to be taken apart here. Download it.")
    try:
        with _ONE_AT_A_TIME:
            message = BytesParser(_bounded(), policy=POLICY).parse(BytesIO(mail))
            return [
                Attachment(number, _name(part), part.get_content_type(), _content(part))
                for number, part in enumerate(_attached(message), 1)
            ]
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, HeaderParseError) as error:
        raise ActionNotAllowed("The mail cannot be taken apart. Download it.") from error


def _lines(mail: bytes) -> int:
    """Return the most lines that the parser can find: CR ends one too, and CRLF is counted twice."""
    return mail.count(b"\n") + mail.count(b"\r")


def _bounded() -> Callable[..., Message]:
    """Return a factory of the parts of one mail, which raises when there are too many."""
    made = count()

    def make(*, policy: Any) -> Message:
        if next(made) > _MOST_PARTS:
            raise _TooManyParts
        return Message(policy=policy)

    return make


def _attached(message: Message, *, inside: bool = False) -> Iterator[Message]:
    """Yield the parts with a name, those that are no text, and mails; of a mail in an attached mail only its files."""
    mail = attached_mail(message)
    if mail is not None:
        if not inside:
            yield message
        yield from _attached(mail, inside=True)
    elif message.is_multipart():
        for part in message.get_payload():
            if isinstance(part, Message):
                yield from _attached(part, inside=inside)
    elif message.get_filename() is not None or message.get_content_maintype() != "text":
        yield message


def _name(part: Message) -> str:
    return attached_name(part) or f"unnamed{mimetypes.guess_extension(part.get_content_type()) or ''}"


def _content(part: Message) -> bytes:
    if (mail := attached_mail(part)) is not None:
        return mail.as_bytes()
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
