"""A manifest whose rows are put in another order, in a temporary file: memory does not grow with them.

Rows are first divided among temporary files by their new places, and then each of these is sorted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prefect_collect.errors import PackageError
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.threads.stop import Stop

_ROWS: Final = 4096
"""The rows of a batch, and of a temporary file if there are no more than `_MOST_FILES`."""

_MOST_FILES: Final = 256
_PLACE: Final = "place"
_WRITING: Final = pa.ipc.IpcWriteOptions(compression="lz4")


@contextmanager
def reordered(manifest: Batches, columns: Sequence[str], order: npt.NDArray[np.int64], stop: Stop) -> Iterator[Batches]:
    """Yield the manifest with these columns, in which the row ``order[n]`` is the row n, until the context is left.

    Raise PackageError if it cannot be written to temporary files, JobCanceled.
    """
    with tempfile.TemporaryDirectory(prefix="prefect-collect-") as folder:
        path = Path(folder) / "manifest"
        try:
            _write(manifest, columns, order, path, stop)
        except OSError as error:
            raise PackageError(
                f"The list of the items cannot be written to temporary files ({error.strerror or error}); free space "
                f"there, or set TMPDIR to another folder. [folder={tempfile.gettempdir()}]"
            ) from error
        yield lambda wanted: _batches(path, wanted)


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(path)) as file:
        names = pa.ipc.open_file(file).schema.names
        wanted = pa.ipc.IpcReadOptions(included_fields=[names.index(name) for name in columns])
        reader = pa.ipc.open_file(file, options=wanted)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number).select(columns)


def _write(manifest: Batches, columns: Sequence[str], order: npt.NDArray[np.int64], path: Path, stop: Stop) -> None:
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    each = max(_ROWS, -(-len(order) // _MOST_FILES))
    with ExitStack() as held:
        parts = _divided(manifest, columns, places, each, held, stop)
        writer: pa.RecordBatchFileWriter | None = None
        for _, part in sorted(parts.items()):
            stop.require_going()
            rows = part.sorted_rows()
            if writer is None:
                writer = held.enter_context(pa.ipc.new_file(str(path), rows.schema, options=_WRITING))
            for batch in rows.to_batches(_ROWS):
                writer.write_batch(batch)


def _divided(
    manifest: Batches, columns: Sequence[str], places: npt.NDArray[np.int64], each: int, held: ExitStack, stop: Stop
) -> dict[int, _Part]:
    parts: dict[int, _Part] = {}
    start = 0
    for batch in manifest([*columns]):
        stop.require_going()
        at = places[start : start + batch.num_rows]
        start += batch.num_rows
        numbers = at // each
        by_part = np.argsort(numbers, kind="stable")
        placed = batch.append_column(_PLACE, pa.array(at)).take(pa.array(by_part))
        found, begins = np.unique(numbers[by_part], return_index=True)
        for number, begin, end in zip(found.tolist(), begins.tolist(), [*begins.tolist()[1:], len(at)], strict=True):
            if number not in parts:
                file = held.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
                parts[number] = _Part(file, placed.schema)
            parts[number].add(placed.slice(begin, end - begin))
    return parts


class _Part:
    """Rows whose new places are near each other, in a temporary file."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self._file: Any = file
        self._writer = pa.ipc.new_stream(file, schema, options=_WRITING)

    def add(self, rows: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_batch(rows)

    def sorted_rows(self) -> pa.Table:
        """Return all rows in their new order, after which none can be added."""
        self._writer.close()
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as reader:
            table = reader.read_all().combine_chunks()
        self._file.close()
        order = np.argsort(table[_PLACE].to_numpy())
        return table.drop_columns([_PLACE]).take(pa.array(order))
