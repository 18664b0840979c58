"""The checksum algorithms with which manifests are checked: all that this Python's hashlib has."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final

_BLAKE: Final = re.compile(r"blake2([bs])(\d{2,3})")
_SHAKE: Final = re.compile(r"shake(?:128|256)")
_SHORTEST: Final = 16
"""The fewest bytes of a SHAKE checksum that proves anything: its strength against collisions is half its bits."""

_LONGEST: Final = 128


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A checksum algorithm; `size` is the length of its checksums in bytes, 0 for any length (SHAKE)."""

    name: str
    size: int
    start: Callable[[], Any] = field(compare=False)

    def fits(self, size: int) -> bool:
        """Return whether a checksum of that many bytes may be one of this algorithm."""
        return size == self.size if self.size else _SHORTEST <= size <= _LONGEST

    def matches(self, state: Any, digest: bytes) -> bool:
        """Return whether `digest` is the checksum of the bytes that were added to `state`."""
        found = state.digest() if self.size else state.digest(len(digest))
        return bool(found == digest)


ITEM_HASHES: Final = {"md5": 16, "sha1": 20}
"""The hashes that lists of items and load files may state beside the SHA-256, with their bytes."""


def stated_digest(name: str, text: str) -> bytes | None:
    """Return the hash of `ITEM_HASHES` that a text states in lower-case hexadecimal digits; None if it is not one."""
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        return None
    return digest if len(digest) == ITEM_HASHES[name] and digest.hex() == text else None


def normalised(name: str) -> str:
    """Return a name as manifests write it: in lower case, letters and digits only (RFC 8493, section 2.4)."""
    return "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())


def find_algorithm(name: str) -> Algorithm | None:
    """Return the algorithm of that normalised name; None if hashlib does not have it."""
    found = _BLAKE.fullmatch(name)
    if found:
        # BLAKE2 with fewer bits, as IANA's Named Information Hash Algorithm Registry names them (blake2b-256).
        start, most = (hashlib.blake2b, 64) if found[1] == "b" else (hashlib.blake2s, 32)
        size, rest = divmod(int(found[2]), 8)
        return None if rest or not _SHORTEST <= size <= most else Algorithm(name, size, lambda: start(digest_size=size))
    own = _available().get(name)
    if own is None:
        return None
    size = 0 if _SHAKE.fullmatch(name) else int(_new(own).digest_size)
    # A hash that is made by its own constructor starts in a third of the time.
    begin: Callable[..., Any] = getattr(hashlib, own, None) or partial(hashlib.new, own)
    return Algorithm(name, size, partial(begin, usedforsecurity=False))


@cache
def _available() -> dict[str, str]:
    names: dict[str, str] = {}
    for name in sorted(hashlib.algorithms_available):
        try:
            _new(name)
        except ValueError:  # listed, but OpenSSL does not provide it
            continue
        names.setdefault(normalised(name), name)
    return names


def _new(name: str) -> Any:
    return hashlib.new(name, usedforsecurity=False)
