"""Names of files as an index keeps, finds and compares them."""

from __future__ import annotations

import unicodedata
from typing import Final

_LONGEST_FOLDED: Final = 1024
"""Characters of names that are compared without case and Unicode form: normalising takes squared time at worst."""


def pack(name: str) -> bytes:
    """A name as the database keeps it; file systems may have names that are no Unicode text."""
    return name.encode("utf-8", "surrogatepass")


def packed(name: str) -> tuple[bytes, int]:
    """What `pack` and `fold` make of a name."""
    return (name.encode(), hash(name.lower())) if name.isascii() else (pack(name), fold(name))


def unpack(name: bytes) -> str:
    """The name that `pack` packed."""
    return name.decode("utf-8", "surrogatepass")


def bounds(folder: str) -> tuple[bytes, bytes]:
    """Between which bytes lie all names below a folder ("" is the top; else it ends in "/")."""
    return (pack(folder), pack(folder[:-1] + "0")) if folder else (b"", b"\xff")


def fold(name: str) -> int:
    """A number that is the same for all names that differ only in case and in Unicode form."""
    return hash(folded(name))


def folded(name: str) -> str:
    """A name without case and Unicode form; very long ones as they are."""
    if name.isascii():
        return name.lower()
    return composed(composed(name).casefold())


def composed(name: str) -> str:
    """A name in Unicode's form NFC; very long ones as they are."""
    return unicodedata.normalize("NFC", name) if len(name) <= _LONGEST_FOLDED else name
