"""The files of an attempt that has ended, as copies whose hashes were checked once, for readers of single rows.

    files = CheckedFiles(folder, attempt)
    files.manifest.take([70_000, 70_001], ["path", "size"])

A copy is a temporary file without a name, mapped into memory: it is as the custody log says however long it is used,
and a row of a list of a million is found without reading the list.
"""

from __future__ import annotations

import mmap
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_evidence import vouched
from prefect_collect.job_folder.custody_events import below
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.parquet import CopiedTable, copy_checked

_PIECE: Final = 1 << 20


@dataclass(frozen=True)
class CheckedCopy:
    """A copy of one file; used by several threads.

    Attributes:
        size: Its bytes.
        sha256: The SHA-256 (hex) that the custody log has of it; "" if the log does not name the file (yet).
    """

    size: int
    sha256: str
    data: Any

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes, 1 MiB at a time."""
        view = memoryview(self.data)
        for start in range(0, self.size, _PIECE):
            yield bytes(view[start : start + _PIECE])

    def file(self) -> Any:
        """Return a new seekable reader of the copy."""
        return pa.BufferReader(pa.py_buffer(self.data))


class CheckedFiles:
    """The manifest and the error report of an attempt that has ended; used by several threads.

    `late` is a warning if the custody log vouched for them only later, or does not yet; else "". All raise CorruptPart
    if a file is damaged or differs from its hash in the custody log, KeyMissing, StoreError; the constructor also
    raises EvidenceError if the log is not whole.
    """

    def __init__(self, folder: JobFolder, attempt: int) -> None:
        self.folder, self.attempt = folder, attempt
        self._evidence = vouched(folder, attempt, enter=False)
        self.result = self._evidence.result(attempt)
        self.late = self._evidence.late(attempt)
        self._lock = threading.Lock()
        self._copies: dict[str, CheckedCopy] = {}

    @property
    def size(self) -> int:
        """The bytes of the copies that were made so far."""
        return sum(copy.size for copy in [*self._copies.values()])

    @property
    def manifest(self) -> CopiedTable:
        """The items held, in the columns of `table_columns.MANIFEST`; rows are numbered from 0."""
        return self._table(store_keys.manifest_key(self.folder.job_id, self.attempt))

    @property
    def errors(self) -> CopiedTable:
        """The error report, in the columns of `table_columns.ERRORS`."""
        return self._table(store_keys.report_key(self.folder.job_id, self.attempt, "errors.parquet"))

    def report(self, name: str) -> CheckedCopy:
        """Return a report of the attempt: ``errors.parquet`` or ``errors.csv``."""
        return self._copy(store_keys.report_key(self.folder.job_id, self.attempt, name))

    def _table(self, key: str) -> CopiedTable:
        return CopiedTable(self.folder.store, key, self._copy(key).file())

    def _copy(self, key: str) -> CheckedCopy:
        with self._lock:
            if key not in self._copies:
                sha256 = self._evidence.sha256(below(self.folder, key))
                with tempfile.TemporaryFile() as file:
                    size = copy_checked(self.folder.store, key, sha256, file)
                    file.flush()
                    data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
                self._copies[key] = CheckedCopy(size, sha256 or "", data)
            return self._copies[key]
