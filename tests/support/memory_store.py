"""A staging store in memory, which can be copied, damaged, and made to die or fail at any operation."""

# ruff: noqa: D102 - the methods are those of the protocol.

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from prefect_collect.errors import KeyExists, KeyMissing, StoreError
from prefect_collect.stores import Blob, Buffer, CopyRange, Piece, Store


class Killed(BaseException):
    """The process is dead: nothing more is stored, and no code of it can handle that."""


@dataclass
class MemoryStore:
    """A `Store` in a dict.

    `written` lists the keys in the order they appeared. `fault`, if set, is called with the name and key of each
    writing operation before it runs; it may raise. After `die_after` more blobs the store is dead.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    url: str = "memory:"
    written: list[str] = field(default_factory=list)
    fault: Callable[[str, str], None] | None = None
    die_after: int | None = None
    dead: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def copy(self) -> MemoryStore:
        """Return what another process finds."""
        return MemoryStore(dict(self.blobs), written=list(self.written))

    def _alive(self) -> None:
        if self.dead:
            raise Killed

    def _change(self, operation: str, key: str) -> None:
        self._alive()
        if self.fault is not None:
            self.fault(operation, key)

    def _put(self, operation: str, key: str, data: bytes, *, replace: bool) -> Blob:
        with self.lock:
            self._alive()
            if self.fault is not None:
                self.fault(operation, key)
            if self.die_after == 0:
                self.dead = True
                raise Killed
            if key in self.blobs and not replace:
                raise KeyExists(f"The key is taken. [{self.locate(key)}]")
            self.blobs[key] = data
            self.written.append(key)
            if self.die_after is not None:
                self.die_after -= 1
                if self.die_after == 0:
                    self.dead = True
                    raise Killed
            return Blob(key, len(data), str(hash(data)))

    def create(self, key: str, data: Buffer) -> Blob:
        return self._put("create", key, bytes(data), replace=False)

    def _get(self, key: str) -> bytes:
        self._alive()
        try:
            return self.blobs[key]
        except KeyError:
            raise KeyMissing(f"No such key. [{self.locate(key)}]") from None

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        return self._get(key)[start:end]

    def open(self, key: str) -> io.BufferedIOBase:
        return io.BytesIO(self._get(key))

    def writer(self, key: str, *, replace: bool = False) -> MemoryWriter:
        self._alive()
        return MemoryWriter(self, key, replace)

    def stat(self, key: str) -> Blob:
        data = self._get(key)
        return Blob(key, len(data), str(hash(data)))

    def look(self, key: str, start: int, end: int) -> tuple[Blob, bytes]:
        return self.stat(key), self.read(key, start, end)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        self._alive()
        with self.lock:
            found = sorted((key, len(data)) for key, data in self.blobs.items() if key.startswith(prefix))
        return (Blob(key, size) for key, size in found)

    def folders(self, prefix: str = "") -> Iterator[str]:
        names = {key[len(prefix) :].partition("/")[0] for key in self.blobs if "/" in key[len(prefix) :]}
        return iter(sorted(names))

    def remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._change("remove", key)
            self.blobs.pop(key, None)

    def delete(self, prefix: str) -> int:
        self._change("delete", prefix)
        gone = [key for key in self.blobs if key.startswith(prefix)]
        for key in gone:
            del self.blobs[key]
        return len(gone)

    def compose(self, key: str, pieces: Iterable[Piece], source: Store, *, replace: bool = False) -> Blob:
        writer = self.writer(key, replace=replace)
        for piece in pieces:
            data = source.read(piece.key, piece.start, piece.end) if isinstance(piece, CopyRange) else piece
            writer.write(data)
        return writer.commit()

    def copy_range(self, key: str, piece: CopyRange, source: Store) -> Blob | None:
        return None

    def copies_from(self, source: Store) -> bool:
        return False

    def locate(self, key: str) -> str:
        return f"memory:{key}"

    def link(self, key: str, seconds: int = 3600) -> str:
        return self.locate(key)

    def require_exclusive_creates(self) -> None:
        """Do nothing: its creates are exclusive."""


class MemoryWriter:
    """A blob of a `MemoryStore` that appears at `commit`."""

    def __init__(self, store: MemoryStore, key: str, replace: bool) -> None:
        self.store, self.key, self.replace = store, key, replace
        self.data = bytearray()

    @property
    def position(self) -> int:
        return len(self.data)

    def write(self, data: Buffer) -> None:
        self.store._alive()
        if self.store.fault is not None:
            self.store.fault("write", self.key)
        self.data += data

    def patch(self, offset: int, data: Buffer) -> None:
        self.data[offset : offset + len(data)] = data

    def commit(self) -> Blob:
        return self.store._put("commit", self.key, bytes(self.data), replace=self.replace)

    def abort(self) -> None:
        """Do nothing: nothing was written yet."""


def fails_at(number: int, error: StoreError) -> Callable[[str, str], None]:
    """Return a fault: the operation of that number (from 0) and every later one raises the error."""
    count = iter(range(1 << 60))

    def fault(operation: str, key: str) -> None:
        if next(count) >= number:
            raise error

    return fault
