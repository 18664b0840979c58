"""Plans a mail set: reads every item once, to tell messages from other items and to find the lines to quote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from prefect_collect.codes import Failure
from prefect_collect.connectors.mbox.separators import date_of
from prefect_collect.errors import CorruptSegment
from prefect_collect.formats import FORMATS
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.check import Checked
from prefect_collect.packages.building.composed_file import ComposedFile, NewBytes
from prefect_collect.packages.building.messages import begun, message_of, received_at
from prefect_collect.packages.building.order import PackageInput
from prefect_collect.packages.building.reading import SegmentReader, each_item, plain_chunks
from prefect_collect.packages.building.rows import Row, by_segment, read_rows
from prefect_collect.packages.building.spec import PackageSpec
from prefect_collect.packages.file_sets.plan import PlaceWriter, SetPlan
from prefect_collect.packages.mail.index import HEADER, MailIndex
from prefect_collect.packages.mail.places import MboxNames, eml_path
from prefect_collect.packages.mail.quoting import quoted
from prefect_collect.stores import Store
from prefect_collect.threads.stop import Stop

DESCRIPTION: Final = FORMATS["mail"].description
_NO_MESSAGE: Final = Failure(
    "not_a_message",
    "The item is no message (RFC 5322): it does not begin with the fields of a header. Export the collection in "
    "another format to deliver it. [format=mail]",
)


def plan_mail(given: PackageInput, folder: Path, stop: Stop) -> SetPlan:
    """Return the places of all messages; other items are refused. Raise CorruptSegment, StoreError, JobCanceled."""
    manifest, checked, spec = given.manifest, given.checked, given.spec
    planner = _Planner(checked, given.staging, spec, stop)
    writer = PlaceWriter(folder / "places", HEADER)
    columns = ["metadata", "source_modified"]
    for batch, rows in zip(manifest(columns), read_rows(manifest), strict=True):
        writer.add(planner.places(rows, batch))
    # A duplicate that is not delivered because another is has the bytes of that one, so it is no message either.
    planner.refused.update(dict.fromkeys(checked.release([*planner.refused], every=True), _NO_MESSAGE))
    return SetPlan(
        writer.finish(),
        lambda lists: MailIndex(lists, spec.mail),
        planner.files,
        planner.refused,
        lambda: _names(manifest, spec),
    )


def _names(manifest: Batches, spec: PackageSpec) -> Iterator[str]:
    """Yield every name that an mbox file can have, whichever items could be read."""
    if spec.mail.messages == "eml":
        return
    names, counts = MboxNames(spec.mail), dict[str, int]()
    for batch in manifest(["path"]):
        for path in batch["path"].to_pylist():
            group = names.group(path)
            volume = counts.get(group, 0)
            if not volume or spec.mail.volume_bytes is not None:
                counts[group] = volume + 1
                yield names.name(path, volume)


class _Planner:
    def __init__(self, checked: Checked, staging: Store, spec: PackageSpec, stop: Stop) -> None:
        self._checked, self._staging, self._spec, self._stop = checked, staging, spec, stop
        self._options, self._names, self._new = spec.mail, MboxNames(spec.mail), NewBytes()
        self._open: dict[str, tuple[int, ComposedFile]] = {}
        self.files: list[ComposedFile] = []
        self.refused: dict[int, Failure] = {}

    def places(self, rows: list[Row], batch: pa.RecordBatch) -> list[dict[str, Any]]:
        """Return the places of the rows of a batch, in its order."""
        start = min((row.number for row in rows), default=0)
        found: list[dict[str, Any]] = [{"own": False}] * len(rows)
        if self._options.messages == "eml":
            for row in rows:
                found[row.number - start] = {"path": eml_path(row.number, row.path), "own": False}
        metadata, modified = batch["metadata"].to_pylist(), batch["source_modified"].to_pylist()

        def visit(reader: SegmentReader, row: Row, ahead: int) -> None:
            at = row.number - start
            head, chunks = begun(plain_chunks(reader, row, ahead))
            message = message_of(head)
            if message is None:
                self.refused[row.number] = _NO_MESSAGE
                return
            said = {field.name: getattr(message, field.name) for field in HEADER}
            if self._options.messages == "eml":
                found[at] = {**found[at], "own": True, **said}
                return
            received = _received(metadata[at], modified[at], message.date)
            if self._options.volume_bytes is not None:
                size = row.size + sum(piece is None for piece in quoted(chunks))
                chunks = iter(plain_chunks(reader, row, ahead))
            else:
                size = 0
            separator = message.separator(received)
            file = self._file(row, len(separator) + size + 2)
            found[at] = {**self._add(file, row, separator, chunks), "own": False, **said}

        for group in by_segment([row for row in rows if self._checked.is_good(row.number)]):
            self._stop.require_going()
            each_item(self._staging, segment_key(self._spec.job_id, group[0].segment), group, visit, self._stop)
        return found

    def _file(self, row: Row, size: int) -> ComposedFile:
        """Return the mbox file that takes an item with so many bytes."""
        group, most = self._names.group(row.path), self._options.volume_bytes
        volume, file = self._open.get(group, (-1, None))
        if file is None or (most is not None and file.size + size > most):
            file = ComposedFile(self._names.name(row.path, volume + 1), self._new)
            self._open[group] = volume + 1, file
            self.files.append(file)
        return file

    def _add(
        self, file: ComposedFile, row: Row, separator: bytes, chunks: Iterable[bytes | memoryview]
    ) -> dict[str, Any]:
        """Append a message to an mbox file, and return its place there."""
        known = self._checked.known.get(row.segment)
        key, etag, at = segment_key(self._spec.job_id, row.segment), known.etag if known else "", row.offset
        file.add_bytes(separator)
        start, last = file.size, b""
        for piece in quoted(chunks):
            if piece is None:
                file.add_bytes(b">")
            elif row.deflated:
                file.add_bytes(piece)
            else:
                file.add_range(key, at, piece, etag)
                at += len(piece)
            last = piece or last
        if not row.deflated and at != row.end:
            raise CorruptSegment(f"An item's segment was shortened after it was checked. [item={row.path}]")
        length = file.size - start
        file.add_bytes(b"\n" if last.endswith(b"\n") else b"\n\n")
        return {"path": file.name, "offset": start, "length": length}


def _received(metadata: str | None, modified: datetime | None, date: str) -> datetime | None:
    """Return when a message was received: as the source states it, or the separator line of its mbox file."""
    try:
        found = json.loads(metadata or "{}")
    except (ValueError, RecursionError):
        found = None
    said = found if isinstance(found, dict) else {}
    line = said.get("separator")
    if "received" not in said and isinstance(line, str) and (at := date_of(line.encode("utf-8", "replace"))):
        return at
    return received_at(said.get("received"), modified, date)
