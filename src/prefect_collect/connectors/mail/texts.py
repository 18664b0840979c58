"""Texts of a message's header: decoded, and bounded for the metadata and the path of an item."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import collapse_rfc2231_value, decode_params, getaddresses, parsedate_to_datetime
from functools import lru_cache
from typing import Final

_LONGEST_SUBJECT: Final = 80
"""Characters of the subject in an item's path."""

_LONGEST: Final = 1_500
"""Characters of a text, or of all texts of a list, in the metadata."""

_KEPT: Final = 200
"""The most characters of a field whose addresses are kept."""

_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
"""What a file's name cannot have, also on Windows: "Re: " begins many subjects."""

_SPACES: Final = re.compile(r"\s+")
_ENCODED: Final = re.compile(r"=\?[^?\s]+\?[bBqQ]\?")


def named(number: int, subject: str) -> str:
    """Return the name of a message in an item's path: ``NUMBER subject.eml``; the subject is made safe and short."""
    subject = _UNSAFE.sub("_", _SPACES.sub(" ", subject)).strip(" .")
    return f"{number} {subject[:_LONGEST_SUBJECT].rstrip(' .')}.eml" if subject else f"{number}.eml"


def decoded(value: bytes) -> str:
    """Return a header's text, with its encoded words (RFC 2047) decoded as far as they can be."""
    return decoded_words(plain(value))


def decoded_words(text: str) -> str:
    """Return a text with its encoded words (RFC 2047) decoded as far as they can be."""
    if _ENCODED.search(text) is None:
        return text
    try:
        return storable("".join(_word(part, charset) for part, charset in decode_header(text)))
    except (HeaderParseError, ValueError):
        return text


def _word(part: str | bytes, charset: str | None) -> str:
    if isinstance(part, str):
        return part
    try:
        return part.decode(charset or "ascii", "replace")
    except (LookupError, ValueError):
        return part.decode("utf-8", "replace")


def plain(value: bytes) -> str:
    """Return bytes as text: UTF-8, as most that is not ASCII is, else Latin-1."""
    try:
        return storable(value.decode())
    except UnicodeDecodeError:
        return storable(value.decode("latin-1"))


def storable(text: str) -> str:
    """Return a text without what the manifest cannot hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def described_date(stated: str) -> dict[str, str]:
    """Return the date of a message: ``date`` (ISO 8601 with its zone), ``date_text`` if not a date; {} without one."""
    stated = shortened(stated)
    if not stated:
        return {}
    try:
        return {"date": parsedate_to_datetime(stated).isoformat()}
    except (ValueError, OverflowError, TypeError, IndexError):
        return {"date_text": stated}


def parameter(pairs: Iterable[tuple[str, str]], wanted: str) -> str:
    """Return a parameter of a MIME field, decoded by RFC 2231 or, as many programs write it, by RFC 2047; else ""."""
    chosen = [("", ""), *((name, value) for name, value in pairs if name.split("*")[0] == wanted)]
    try:
        for name, value in decode_params(chosen)[1:]:
            if name == wanted:
                return decoded(collapse_rfc2231_value(value).strip('"').encode("utf-8", "replace"))
    except (ValueError, LookupError, TypeError):
        pass
    return next((value for _, value in chosen[1:]), "")


def addresses(text: str) -> Sequence[tuple[str, str]]:
    """Return the names and addresses of a field, as `email.utils.getaddresses` parses it; none if it nests too deeply.

    Most fields of a mailbox repeat, and to parse one takes as long as all else of a small message: short ones are kept.
    """
    try:
        return _parsed(text) if len(text) <= _KEPT else getaddresses([text])
    except RecursionError:  # it calls itself for each parenthesis, however many there are
        return ()


@lru_cache(2_000)
def _parsed(text: str) -> Sequence[tuple[str, str]]:
    return tuple(getaddresses([text]))


def person(name: str, address: str) -> str:
    """Return a sender or recipient: ``name <address>``, or the address alone."""
    return f"{name} <{address}>" if name else address


def shortened(text: str) -> str:
    """Return a text, cut at a bound."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def few(texts: Iterable[str]) -> list[str]:
    """Return the texts, up to a bound; the last one then says how many there are beyond it."""
    found: list[str] = []
    size = more = 0
    for each in texts:
        size += len(each)
        if size > _LONGEST and found:
            more += 1
        else:
            found.append(shortened(each))
    return [*found, f"… and {more:,} more"] if more else found
