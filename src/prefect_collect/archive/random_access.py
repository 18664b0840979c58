"""Files whose bytes can be read at any place."""

from __future__ import annotations

from typing import Protocol


class Bytes(Protocol):
    """A file whose ranges several threads can read. Raise Damaged if it cannot be read."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    @property
    def window(self) -> int:
        """The number of bytes to read at a time."""

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or to the file's end."""

    def close(self) -> None:
        """Close the file."""
