"""The checksum algorithms that manifests are checked with: all that this Python's hashlib has."""

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
"""Bytes that a SHAKE checksum must have to prove anything: half as many bits are its strength against collisions."""

_LONGEST: Final = 128


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A checksum algorithm; `size` is how many bytes its checksums have, 0 if they may have any (SHAKE)."""

    name: str
    size: int
    start: Callable[[], Any] = field(compare=False)

    def fits(self, size: int) -> bool:
        """Whether a checksum of that many bytes may be its."""
        return size == self.size if self.size else _SHORTEST <= size <= _LONGEST

    def matches(self, state: Any, digest: bytes) -> bool:
        """Whether that is the checksum of the bytes that were put into `state`."""
        found = state.digest() if self.size else state.digest(len(digest))
        return bool(found == digest)


def normalised(name: str) -> str:
    """A name as manifests write it: lower-cased, without what is no letter or digit (RFC 8493, section 2.4)."""
    return "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())


def find_algorithm(name: str) -> Algorithm | None:
    """The algorithm of that normalised name; None if hashlib does not have it."""
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
    # By its own name a hash begins in a third of the time.
    begin: Callable[..., Any] = getattr(hashlib, own, None) or partial(hashlib.new, own)
    return Algorithm(name, size, partial(begin, usedforsecurity=False))


@cache
def _available() -> dict[str, str]:
    names: dict[str, str] = {}
    for name in sorted(hashlib.algorithms_available):
        try:
            _new(name)
        except ValueError:  # listed, but OpenSSL does not give it out
            continue
        names.setdefault(normalised(name), name)
    return names


def _new(name: str) -> Any:
    return hashlib.new(name, usedforsecurity=False)
