"""One item of a collection, read out of its segment and proven."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, get_args

from prefect_collect.errors import CorruptPart, CorruptSegment, KeyMissing, UsageError
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.checked_files import CheckedFiles
from prefect_collect.job_folder.manifest_rules import row_faults
from prefect_collect.packages.building.reading import SegmentReader, header_and_chunks
from prefect_collect.packages.building.rows import Row, read_rows
from prefect_collect.parameters import Hash
from prefect_collect.stores import Store

_KEPT: Final = 8 << 20
"""Bytes of an item that stay in memory between its proof and its use."""


@dataclass(frozen=True)
class HeldItem:
    """An item that a collection holds; its bytes are read when they are asked for.

    Attributes:
        number: Its row in the manifest, from 0.
        item_id: The source's id of it.
        path: Its safe path in segments and packages.
        original_path: The source's path.
        size: Its bytes.
        sha256: The SHA-256 (hex) of its bytes.
        modified: When the source says it was modified.
        collected: When it was collected.
        attempt: The attempt that collected it.
        segment: The segment that holds it.
        custodian: Its custodian; None if that is not known.
        version: The version that was read, if the source has versions.
        hashes: More hashes (hex) that the collection was asked for, by their names: ``md5``, ``sha1``.
        metadata: What the source states of it beside its bytes, such as the sender of a message.
    """

    number: int
    item_id: str
    path: str
    original_path: str
    size: int
    sha256: str
    modified: datetime | None
    collected: datetime | None
    attempt: int
    segment: str
    custodian: str | None
    version: str | None
    hashes: Mapping[str, str]
    metadata: Mapping[str, Any]
    _store: Store = field(repr=False, compare=False)
    _key: str = field(repr=False, compare=False)
    _row: Row = field(repr=False, compare=False)

    def read(self) -> Iterator[bytes]:
        """Yield the item's bytes, which are proven before the first is yielded, and again while they are read.

        A large item is read twice for that. Raise CorruptSegment if they are not those that were collected, or the
        segment is lost; StoreError.
        """
        kept: list[bytes] | None = [] if self.size <= _KEPT else None
        for chunk in self._proven():
            if kept is not None:
                kept.append(chunk)
        yield from self._proven() if kept is None else kept

    def head(self) -> bytes:
        """Return the first bytes, up to 8 MiB, which are not proven: to tell what the item is, not to show it."""
        return next(iter(self._chunks()), b"")

    def _proven(self) -> Iterator[bytes]:
        """Yield the bytes; the last ones only if all are the collected ones."""
        digest, size, last = hashlib.sha256(), 0, b""
        for chunk in self._chunks():
            digest.update(chunk)
            size += len(chunk)
            if last:
                yield last
            last = chunk
        if size != self.size or digest.hexdigest() != self.sha256:
            raise CorruptSegment(
                f"The item's bytes in its segment are not the collected ones (SHA-256 differs). Restore the segment "
                f"from a backup, or collect the item again. [item={self.path}, segment={self._store.locate(self._key)}]"
            )
        if last:
            yield last

    def _chunks(self) -> Iterator[bytes]:
        try:
            reader = SegmentReader(self._store, self._key)
        except KeyMissing as error:
            raise self._lost() from error
        try:
            _, chunks = header_and_chunks(reader, self._row, self._row.end)
            for chunk in chunks:
                yield bytes(chunk)
        except KeyMissing as error:
            raise self._lost() from error
        finally:
            reader.close()

    def _lost(self) -> CorruptSegment:
        return CorruptSegment(
            f"The item's segment is lost. Restore it from a backup, or collect the item again. "
            f"[item={self.path}, segment={self._store.locate(self._key)}]"
        )


def held_item(files: CheckedFiles, number: int) -> HeldItem:
    """Return the item of that row of the manifest, from 0.

    Raise UsageError if there is no such row, CorruptPart if the row is not one that a collection writes, StoreError.
    """
    job_id = files.folder.job_id
    try:
        row = files.manifest.take([number])
    except IndexError as error:
        raise UsageError(f"The collection holds no item of that row. [job={job_id}, row={number}]") from error
    batch = row.combine_chunks().to_batches()[0]
    if faults := row_faults(batch):
        raise CorruptPart(
            f"An item cannot be read, because {faults[0][1]}. Restore the job's folder from a backup. "
            f"[job={job_id}, row={number}]"
        )
    values = batch.to_pylist()[0]
    return HeldItem(
        number=number,
        item_id=values["item_id"],
        path=values["path"],
        original_path=values["original_path"],
        size=values["size"],
        sha256=values["sha256"].hex(),
        modified=values["source_modified"],
        collected=values["collected_at"],
        attempt=values["attempt"],
        segment=values["segment"],
        custodian=values["custodian"],
        version=values["source_version"],
        hashes={name: values[name].hex() for name in get_args(Hash) if values[name] is not None},
        metadata=_metadata(values["metadata"], job_id, number),
        _store=files.folder.store,
        _key=store_keys.segment_key(job_id, values["segment"]),
        _row=next(read_rows(lambda columns: iter([batch.select(columns)])))[0],
    )


def _metadata(text: str | None, job_id: str, number: int) -> dict[str, Any]:
    """Return the metadata of a row. Raise CorruptPart if it is not a JSON object."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CorruptPart(
            f"An item's metadata is not a JSON object. Restore the job's folder from a backup. "
            f"[job={job_id}, row={number}]"
        )
    return found
