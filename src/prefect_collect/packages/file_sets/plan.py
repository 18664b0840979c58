"""Where each item of a file set goes, in a temporary file beside the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa

from prefect_collect.codes import Failure
from prefect_collect.packages.building.tag_file import PackageFile, TagFile

PLACE: Final = [
    pa.field("path", pa.string()),
    pa.field("own", pa.bool_(), nullable=False),
    pa.field("offset", pa.int64()),
    pa.field("length", pa.int64()),
]
"""The place of an item: its file in the package, and whether the file is the item, or (offset, length) a part of it is.

A format has more columns, of what its own lists state of the item.
"""


class PlaceWriter:
    """Writes places, a batch for each batch of the manifest."""

    def __init__(self, path: Path, more: Sequence[pa.Field[Any]] = ()) -> None:
        self._path, self._schema = path, pa.schema([*PLACE, *more])
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._sink, self._schema)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the places of a batch's rows, in its order."""
        columns = [pa.array([row.get(name) for row in rows], self._schema.field(name).type) for name in self.names]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        names: list[str] = self._schema.names
        return names

    def finish(self) -> Callable[[], Iterator[pa.RecordBatch]]:
        """End the writing; return what yields the batches again, from the first one, each time it is called."""
        self._writer.close()
        self._sink.close()

        def read() -> Iterator[pa.RecordBatch]:
            with pa.OSFile(str(self._path), "rb") as source:
                yield from pa.ipc.open_stream(source)

        return read


class OwnLists(Protocol):
    """The lists that only one format has."""

    def add(self, batch: pa.RecordBatch, places: pa.RecordBatch, given: Sequence[bool]) -> None:
        """Add rows of the manifest; `given` says which of them are delivered."""

    def finish(self) -> tuple[list[TagFile], dict[str, Any]]:
        """Return the finished lists, and what the package's description says more."""

    def close(self) -> None:
        """Close the open files."""


@dataclass(slots=True)
class SetPlan:
    """The places of a manifest's rows.

    Attributes:
        places: Yields the places, batch for batch as the manifest.
        lists: Makes the format's own lists, in a folder.
        files: The files that are composed of items.
        refused: The rows that such a package cannot have, and why.
        more_names: Yields names of composed files that an earlier attempt may have written, beside those of `files`.
    """

    places: Callable[[], Iterator[pa.RecordBatch]]
    lists: Callable[[Path], OwnLists]
    files: Sequence[PackageFile] = ()
    refused: Mapping[int, Failure] = field(default_factory=dict)
    more_names: Callable[[], Iterator[str]] = lambda: iter(())
