"""The parts of a package that is one TAR file: its lists, then its items with new headers, and the end.

The seal comes first, then the other lists, so that whoever reads the file from its start can prove each item at once,
and the fingerprint is known from the first bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prefect_collect.archive.tar import FOLDER, end_after, header_of, padding, seconds_of
from prefect_collect.archive.zip64 import EARLIEST
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.pieces import Deflated, Pieces
from prefect_collect.packages.building.rows import Row
from prefect_collect.packages.building.spec import PackageSpec
from prefect_collect.packages.building.tag_file import PackageFile
from prefect_collect.stores import CopyRange, Piece

_EARLIEST: Final = seconds_of(EARLIEST)
"""The time of what has none."""


class TarLayout:
    """The pieces of the TAR file; all names are below the folder `base` of `spec`, those of items in its `payload`.

    Attributes:
        compressed: True if the file is compressed with Zstandard.
    """

    def __init__(self, spec: PackageSpec, checked: Checked, payload: str, seal: str, *, compressed: bool) -> None:
        self.compressed = compressed
        self._spec, self._checked, self._seal = spec, checked, seal
        self._payload = f"{spec.base}/{payload}"
        self._pieces = Pieces()
        self._unused = b""
        self._size = self._items = 0
        self._files: list[tuple[bytes, PackageFile | None]] = []
        self._end = b""

    @property
    def has_deflated(self) -> bool:
        """Return whether any item is deflated in its segment."""
        return self._pieces.has_deflated

    def add(self, rows: list[Row]) -> None:
        """Append payload files."""
        for row in rows:
            header = header_of(f"{self._payload}{row.path}", row.size, seconds_of(row.stamp))
            self._pieces.append(self._unused + header)
            self._unused = padding(row.size)
            self._size += len(header) + row.size + len(self._unused)
            if row.size:
                known = self._checked.known.get(row.segment)
                key = segment_key(self._spec.job_id, row.segment)
                place = CopyRange(key, row.offset, row.end, known.etag if known else "")
                self._pieces.append(Deflated(place, row.size) if row.deflated else place)
        self._items += len(rows)

    def finish(self, files: Sequence[PackageFile]) -> int:
        """Take the lists, after which nothing more can be added. Return the size of the TAR file."""
        for file in sorted(files, key=lambda file: file.name != self._seal):
            header = header_of(f"{self._spec.base}/{file.name}", file.size, _EARLIEST)
            self._files.append((header, file))
            self._size += len(header) + file.size + len(padding(file.size))
        if not self._items:
            self._files.append((header_of(self._payload, 0, _EARLIEST, FOLDER), None))
            self._size += len(self._files[-1][0])
        self._end = end_after(self._size)
        return self._size + len(self._end)

    def first_pieces(self) -> Iterator[Piece | Deflated]:
        """Yield nothing: the lists come first."""
        yield from ()

    def last_pieces(self) -> Iterator[Piece | Deflated]:
        """Yield all pieces of the finished file, in order."""
        for header, file in self._files:
            yield header
            if file is not None:
                yield from file.pieces()
                yield padding(file.size)
        yield from self._pieces
        yield self._unused + self._end
