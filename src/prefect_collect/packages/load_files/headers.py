"""Reads the headers of messages that lie as files in a source, which states nothing of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.connectors.mail.header import metadata_of
from prefect_collect.errors import CorruptSegment, KeyMissing
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.job_folder.store_keys import segment_key
from prefect_collect.packages.building.messages import begun, header_of
from prefect_collect.packages.building.order import PackageInput
from prefect_collect.packages.building.reading import SegmentReader, each_item, plain_chunks
from prefect_collect.packages.building.rows import Row, by_segment, read_rows
from prefect_collect.packages.load_files.values import OF_MESSAGES, ItemFacts
from prefect_collect.threads.stop import Stop

_FACTS: Final = frozenset({*OF_MESSAGES, "cc", "bcc", "sent", "sent_utc", "sent_date", "sent_time", "edrm_mih"})


def with_headers(given: PackageInput, stop: Stop) -> Batches:
    """Return the manifest, in which messages by their name also have what their header says.

    Only their beginnings are read, and only if the load file has columns for what they say.
    """
    manifest = given.manifest
    if _FACTS.isdisjoint(fact for _, fact in given.spec.load_file.columns.columns):
        return manifest
    if not any(pc.any(pc.ends_with(batch["path"], ".eml", ignore_case=True)).as_py() for batch in manifest(["path"])):
        return manifest

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        if "metadata" not in columns:
            yield from manifest(columns)
            return
        for batch, rows in zip(manifest(columns), read_rows(manifest), strict=True):
            yield _described(batch, rows, given, stop)

    return batches


def _described(batch: pa.RecordBatch, rows: list[Row], given: PackageInput, stop: Stop) -> pa.RecordBatch:
    silent, start = ItemFacts(batch, "").needs_header(), min((row.number for row in rows), default=0)
    wanted = [row for row in rows if silent[row.number - start] and given.checked.is_good(row.number)]
    if not wanted:
        return batch
    metadata: list[str | None] = batch["metadata"].to_pylist()

    def visit(reader: SegmentReader, row: Row, ahead: int) -> None:
        head, _ = begun(plain_chunks(reader, row, ahead))
        if (header := header_of(head)) is not None:
            at = row.number - start
            known = json.loads(metadata[at] or "{}")
            metadata[at] = json.dumps({**metadata_of(header), **(known if isinstance(known, dict) else {})})

    for group in by_segment(wanted):
        stop.require_going()
        try:
            each_item(given.staging, segment_key(given.spec.job_id, group[0].segment), group, visit, stop)
        except (CorruptSegment, KeyMissing):  # it was changed after it was checked, which building the package reports
            continue
    column = batch.schema.get_field_index("metadata")
    return batch.set_column(column, batch.schema.field(column), pa.array(metadata, pa.string()))
