"""What the stores of all object stores have in common: the requests that their readers, writers and composers send."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from prefect_collect.stores._base import Blob, Buffer


@dataclass(frozen=True, slots=True)
class Token:
    """A random mark in an object's metadata, by which a writer recognizes its own object if the answer got lost."""

    value: str


def new_token() -> Token:
    """Return a mark that no other write has."""
    return Token(secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Fetched:
    """Bytes of an object, and the size and ETag of the whole object."""

    data: bytes
    size: int
    etag: str


class PartUpload(Protocol):
    """An object that is uploaded in parts, from several threads; it appears whole when it is completed."""

    def send(self, number: int, data: bytes) -> None:
        """Upload a part; the numbers begin at 1."""

    def complete(self, size: int, *, replace: bool) -> Blob:
        """Make the object of `size` bytes appear. Raise KeyExists if the key exists, unless `replace`."""

    def abort(self) -> None:
        """Discard the parts. Never raise, as this runs after an error."""


class Bucket(Protocol):
    """Requests to one bucket, below one prefix, by keys without it. Every error is a StoreError."""

    def key(self, key: str) -> str:
        """Return the key in the bucket. Raise StoreError if the service does not allow it."""

    def locate(self, key: str) -> str:
        """Return the full URL of a key."""

    def put(self, key: str, data: Buffer, *, replace: bool) -> Blob:
        """Write an object in one step. Raise KeyExists if the key exists, unless `replace`."""

    def get(self, key: str, start: int = 0, end: int | None = None, etag: str = "") -> Fetched:
        """Return bytes of an object; there are none past its end. Raise CorruptSegment if its ETag is not `etag`."""

    def head(self, key: str) -> Blob:
        """Return the size and ETag. Raise KeyMissing."""

    def holds(self, key: str) -> bool:
        """Return whether the key exists."""


Begin = Callable[[str], PartUpload]
"""Begins an upload in parts of the object of a key."""
