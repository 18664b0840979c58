"""An object as an export left it, whatever versions were added since: its files up to that version."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prefect_collect.errors import KeyMissing
from prefect_collect.packages.ocfl.names import INVENTORY, OBJECT, SIDECAR
from prefect_collect.stores import Blob, Store

_VERSION: Final = re.compile(r"v([1-9][0-9]{0,6})")


@dataclass(frozen=True, slots=True)
class ObjectAt:
    """The object in the folder `key` as it was when its version `number` was the last one; now `last` is.

    Every version's folder has the inventory of its time, so nothing but that of the object itself was replaced.
    """

    source: Store
    key: str
    number: int
    last: int

    @property
    def remark(self) -> str:
        """A sentence that says which version this is, if the object has a later one; else ""."""
        if self.number == self.last:
            return ""
        return (
            f"The object has version v{self.last} now; this is the object as the export left it, with the versions up "
            f"to v{self.number}."
        )

    def files(self) -> Iterator[tuple[str, Blob]]:
        """Yield the keys of the files of the object then, in order, with the blobs that have their bytes now."""
        own = {f"{self.key}/{name}": f"{self.key}/v{self.number}/{name}" for name in (INVENTORY, SIDECAR)}
        for blob in self.source.list(f"{self.key}/"):
            if blob.key in own:
                yield blob.key, self.source.stat(own[blob.key])
                continue
            name = blob.key.removeprefix(f"{self.key}/")
            number = _number(name.partition("/")[0])
            if name == OBJECT or (number is not None and number <= self.number):
                yield blob.key, blob


def object_at(source: Store, key: str, fingerprint: str) -> ObjectAt | None:
    """Return the object as it was when its inventory had this SHA-256 (hex); None if it never had. Raise StoreError."""
    found = (_number(name) for name in source.folders(f"{key}/"))
    numbers = sorted((number for number in found if number is not None), reverse=True)
    hashes = ((number, _hash_of(source, f"{key}/v{number}/{INVENTORY}")) for number in numbers)
    last = 0
    for number, digest in hashes:
        last = last or (number if digest else 0)  # a version that is being written has no inventory yet
        if digest == fingerprint:
            return ObjectAt(source, key, number, last)
    return None


def _number(name: str) -> int | None:
    matched = _VERSION.fullmatch(name)
    return None if matched is None else int(matched[1])


def _hash_of(source: Store, key: str) -> str:
    try:
        with source.open(key) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except KeyMissing:
        return ""
