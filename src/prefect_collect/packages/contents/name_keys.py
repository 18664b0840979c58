"""The forms in which an index stores, finds and compares names of files."""

from __future__ import annotations

import unicodedata
from typing import Final

_LONGEST_FOLDED: Final = 1024
"""Characters up to which names are compared without case and Unicode form: normalising may take squared time."""


def pack(name: str) -> bytes:
    """Return a name as the database stores it; file systems may have names that are not Unicode text."""
    return name.encode("utf-8", "surrogatepass")


def packed(name: str) -> tuple[bytes, int]:
    """Return the results of `pack` and `fold` for a name."""
    return (name.encode(), hash(name.lower())) if name.isascii() else (pack(name), fold(name))


def unpack(name: bytes) -> str:
    """Return the name that `pack` packed."""
    return name.decode("utf-8", "surrogatepass")


def bounds(folder: str) -> tuple[bytes, bytes]:
    """Return the bytes between which all names below a folder are ("" is the top; else it ends in "/")."""
    return (pack(folder), pack(folder[:-1] + "0")) if folder else (b"", b"\xff")


def fold(name: str) -> int:
    """Return a number that is the same for all names that differ only in case and in Unicode form."""
    return hash(folded(name))


def folded(name: str) -> str:
    """Return a name without case and Unicode form; a very long one unchanged."""
    if name.isascii():
        return name.lower()
    return composed(composed(name).casefold())


def composed(name: str) -> str:
    """Return a name in Unicode's form NFC; a very long one unchanged."""
    return unicodedata.normalize("NFC", name) if len(name) <= _LONGEST_FOLDED else name
