"""Hashes and checksums computed while an item is read, and their comparison with what its source states."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any, Final

from isal import isal_zlib

from prefect_collect.sources._item import Content
from prefect_collect.stores import Buffer

_CRCS: Final = {"crc32c": "CRC32C", "crc64nvme": "CRC64-NVME"}
"""The name in anycrc of each CRC, by the field of `Content`: CRC-32/ISCSI and CRC-64/NVME of the catalogue of CRCs
(https://reveng.sourceforge.io/crc-catalogue/)."""

_NAMES: Final = {
    "sha256": "SHA-256",
    "crc32": "CRC-32",
    "crc32c": "CRC-32C",
    "crc64nvme": "CRC-64/NVME",
    "sha1": "SHA-1",
    "md5": "MD5",
}
"""The name of each checksum in messages, by the field of `Content`."""

_HASHES: Final = ("sha1", "md5")


class Digest:
    """The SHA-256, CRC-32 and size of the bytes so far, and every other checksum that the opened `content` states.

    `hashes` names more to compute: ``"md5"``, ``"sha1"``. With the bytes' hashes goes what the source states beside
    the bytes: `metadata` and `modified`, those of the content.
    """

    __slots__ = ("_asked", "_crcs", "_hashes", "_sha256", "crc32", "metadata", "modified", "size")

    def __init__(self, content: Content | None = None, hashes: Collection[str] = ()) -> None:
        self._sha256 = hashlib.sha256()
        self._asked = hashes
        self._hashes: dict[str, Any] = {
            name: hashlib.new(name, usedforsecurity=False) for name in {*_stated(content, _HASHES), *hashes}
        }
        self._crcs = dict.fromkeys(_stated(content, _CRCS), 0)
        self.metadata = None if content is None else content.metadata
        self.modified = None if content is None else content.modified
        self.crc32 = 0
        self.size = 0

    def update(self, data: Buffer) -> None:
        """Add the next bytes."""
        self._sha256.update(data)
        self.crc32 = isal_zlib.crc32(data, self.crc32)
        self.size += len(data)
        for name in self._hashes:
            self._hashes[name].update(data)
        for name in self._crcs:
            self._crcs[name] = _crc(name).calc(data, self._crcs[name])

    @property
    def sha256(self) -> bytes:
        """The SHA-256 of the bytes so far."""
        return self._sha256.digest()

    def asked(self, name: str) -> bytes | None:
        """Return the hash of that name of the bytes so far; None if it was not asked for."""
        return bytes(self._hashes[name].digest()) if name in self._asked else None

    def as_content(self, data: Buffer) -> Content:
        """Return the bytes as an opened item, with what the source states beside them."""
        return Content((memoryview(data),), modified=self.modified, metadata=self.metadata)

    def difference(self, content: Content) -> str | None:
        """Return a sentence about the first checksum that differs from the source's; None if all stated ones agree."""
        for name, title in _NAMES.items():
            stated = getattr(content, name)
            if stated is not None and (arrived := self._arrived(name)) != stated:
                return (
                    f"The {title} of what arrived is {_hex(arrived, name)}, but the source states {_hex(stated, name)}"
                )
        return None

    def _arrived(self, name: str) -> bytes | int:
        if name in self._hashes:
            return bytes(self._hashes[name].digest())
        if name == "sha256":
            return self.sha256
        return self._crcs.get(name, self.crc32)


def _stated(content: Content | None, names: Iterable[str]) -> list[str]:
    return [] if content is None else [name for name in names if getattr(content, name) is not None]


@cache
def _crc(name: str) -> Any:
    """Return the CRC's model; anycrc is imported only once a source states such a checksum."""
    import anycrc

    return anycrc.Model(_CRCS[name])


def _hex(value: bytes | int, name: str) -> str:
    return value.hex() if isinstance(value, bytes) else f"{value:0{16 if name == 'crc64nvme' else 8}x}"
