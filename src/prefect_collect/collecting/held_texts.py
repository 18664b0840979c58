"""The texts of what jobs hold, such as paths, which have no fixed size: in a temporary file, by number."""

from __future__ import annotations

import json
import os
import tempfile
from array import array
from typing import Final

import pyarrow as pa

_TEXTS: Final = ("original_path", "source_etag", "source_version")


class HeldTexts:
    """Path, ETag and version of the rows of manifests, by the number in which they were added; close it.

    Attributes:
        folders: What stands before the last "/" of the rows' ids.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - see close
        self._ends = array("q", [0])
        self.folders: set[str] = set()

    def add(self, rows: pa.RecordBatch) -> None:
        """Add the next rows."""
        self.folders.update(id_.rpartition("/")[0] for id_ in rows["item_id"].to_pylist())
        end = self._ends[-1]
        written = []
        for texts in zip(*(rows[name].to_pylist() for name in _TEXTS), strict=True):
            written.append(json.dumps(texts).encode())
            end += len(written[-1])
            self._ends.append(end)
        self._file.write(b"".join(written))
        self._file.flush()

    def of(self, row: int) -> tuple[str, str | None, str | None]:
        """Return path, ETag and version of a row."""
        start, end = self._ends[row], self._ends[row + 1]
        path, etag, version = json.loads(os.pread(self._file.fileno(), end - start, start))
        return path, etag, version

    def close(self) -> None:
        """Close and so remove the temporary file."""
        self._file.close()
