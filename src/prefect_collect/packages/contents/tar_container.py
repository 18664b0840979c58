"""The entries of a TAR file as the files of a package; the file may be compressed with Zstandard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.archive.random_access import Bytes
from prefect_collect.archive.tar_entries import WHOLE, TarEntry, TarReader
from prefect_collect.packages.contents.bytes import LocalBytes, PartOfBytes, Window
from prefect_collect.packages.contents.containers import Reader
from prefect_collect.packages.contents.index import Entry, FileIndex
from prefect_collect.packages.contents.zstd_bytes import ZstdBytes
from prefect_collect.packages.problems import Findings, Tally

_NO_FILE: Final = -1
"""The compression method of an entry that is not read."""

_ODD: Final = {"rights": "entries ask for set-user-ID, set-group-ID or sticky rights"}


class TarContainer:
    """The entries of a TAR file. One that is compressed is read in its order, by one thread."""

    reads_all = True
    has_folders = True

    def __init__(self, source: Bytes) -> None:
        self._source = source
        self.in_forks = isinstance(source, LocalBytes)
        self.in_order = isinstance(source, ZstdBytes)
        self.kind = "tar.zst" if self.in_order else "tar"

    def scan(self, index: FileIndex, findings: Findings) -> bool:
        """Add all entries; return False if what follows one cannot be read."""
        tally = Tally()
        reader = TarReader(self._source, findings.problems, findings.tolerated, findings.form)
        try:
            for found in reader.entries():
                self._take(found, index, findings.problems)
                if found.special_rights:
                    tally.add("rights", found.name)
            if isinstance(self._source, ZstdBytes):
                self._source.check_frames(findings.form)
        except Damaged as error:
            findings.problems.add(WHOLE, str(error))
            return False
        finally:
            tally.report(WHOLE, findings.tolerated, _ODD)
        if not index.count:
            raise Damaged("it is an empty TAR file")
        return True

    def first(self) -> Entry | None:
        """Return the first entry, without reading further; None if it is no file. Raise Damaged."""
        reader = TarReader(self._source, Problems(), Problems(), Problems())
        for found in reader.entries():
            is_file = not (found.what or found.is_folder)
            return Entry(0, found.name, found.size, offset=found.offset) if is_file else None
        return None

    @staticmethod
    def _take(found: TarEntry, index: FileIndex, problems: Problems) -> None:
        if found.what:
            problems.add(found.name, f"it is {found.what}, which a package must not hold")
        method = _NO_FILE if found.what else 0
        index.add(Entry(index.count, found.name, found.size, method, stored_size=found.size, offset=found.offset))

    def reader(self, entries: Sequence[Entry], following: int | None) -> Reader:
        """Return a reader of those entries."""
        return _TarFiles(self._source, entries)

    def opened(self, entry: Entry) -> Bytes:
        """Return the bytes of an entry. Raise Damaged."""
        if entry.method == _NO_FILE:
            raise Damaged("it is no file, so it was not read")
        return PartOfBytes(self._source, entry.offset, entry.size)

    def close(self) -> None:
        """Close the file."""
        self._source.close()


class _TarFiles:
    """Reads entries in order."""

    def __init__(self, source: Bytes, entries: Sequence[Entry]) -> None:
        self.form = Problems()
        self._window = Window(source)
        self._ahead = entries[-1].offset + entries[-1].size

    def chunks(self, entry: Entry) -> Iterator[memoryview]:
        """Yield the entry's bytes. Raise Damaged."""
        if entry.method == _NO_FILE:
            raise Damaged("it is no file, so it was not read")
        for start in range(entry.offset, entry.offset + entry.size, self._window.size):
            end = min(entry.offset + entry.size, start + self._window.size)
            yield self._window.span(start, end, self._ahead)
