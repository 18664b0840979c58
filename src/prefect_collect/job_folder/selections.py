"""Items of an error report that a user chose to retry: a report of its own, in the job's folder.

    selection:<SHA-256>                        how a retry names it (`only`)
    <job id>/selections/<SHA-256>.parquet      the file, in the columns of `table_columns.ERRORS`

It is in the staging store because the process that runs the retry may be on another machine. A file is used only if its
bytes have the SHA-256 of its name, and the custody log names it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.errors import CorruptPart, KeyExists, KeyMissing, UsageError
from prefect_collect.job_folder import custody_log, store_keys, table_columns
from prefect_collect.job_folder.checked_files import CheckedFiles
from prefect_collect.job_folder.custody_events import SELECTED, below
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.ledger_rules import is_settled
from prefect_collect.job_folder.parquet import PartWriter, put_file
from prefect_collect.untrusted.bounded_json import changed

MAX_BYTES: Final = 2 << 30
"""Bytes of the largest selection that is read: ten million rows."""

_BATCH: Final = 16_000
_PIECE: Final = 8 << 20
_NAME: Final = re.compile(r"selection:([0-9a-f]{64})", re.ASCII)


def is_selection(location: str) -> bool:
    """Return whether a text is what `save_selection` returns."""
    return _NAME.fullmatch(location) is not None


def save_selection(files: CheckedFiles, rows: Iterable[int]) -> str:
    """Save rows of an attempt's error report, by their numbers from 0, and return what names them in a retry.

    Items that are settled, and rows about the job as a whole, are left out: they cannot be retried.

    Raises:
        UsageError: None of the rows is left, or the report has no row of such a number.
        StoreError, EvidenceError: The report cannot be read, or the selection cannot be written.
    """
    folder, report = files.folder, files.errors
    numbers = sorted({*rows})
    with PartWriter(table_columns.ERRORS) as part:
        for start in range(0, len(numbers), _BATCH):
            try:
                chosen = report.take(numbers[start : start + _BATCH])
            except IndexError as error:
                raise UsageError(f"The error report has no row {error}. [job={folder.job_id}]") from error
            chosen = chosen.filter(pc.is_valid(chosen["item_id"]))
            known = zip(chosen["outcome"].to_pylist(), chosen["error_code"].to_pylist(), strict=True)
            chosen = chosen.filter(pa.array([not is_settled(*one) for one in known], pa.bool_()))
            part.write(chosen.combine_chunks().to_batches())
        if not part.rows:
            raise UsageError(f"No item that can be retried is selected. [job={folder.job_id}]")
        part.finish()
        sha256 = _hash(part)
        key = store_keys.selection_key(folder.job_id, sha256)
        with suppress(KeyExists):
            put_file(folder.store, key, part.file)
        custody_log.append(
            folder, SELECTED, {"attempt": files.attempt, "items": part.rows, "files": {below(folder, key): sha256}}
        )
    return f"selection:{sha256}"


def read_selection(folder: JobFolder, location: str) -> bytes:
    """Return the file of a selection of that job. Raise UsageError if the job has none, CorruptPart, StoreError."""
    found = _NAME.fullmatch(location)
    if found is None:
        raise UsageError(f"This is not a selection of items. [only={location[:100]}]")
    key = store_keys.selection_key(folder.job_id, found[1])
    try:
        if folder.store.stat(key).size > MAX_BYTES:
            raise CorruptPart(f"A selection is larger than any that is written. [{folder.store.locate(key)}]")
        data = folder.store.read(key)
    except KeyMissing as error:
        raise UsageError(
            f"The job has no such selection of items; select them again. [job={folder.job_id}, only={location}]"
        ) from error
    if hashlib.sha256(data).hexdigest() != found[1]:
        raise CorruptPart(changed(folder.store, key))
    return data


def _hash(part: PartWriter) -> str:
    digest = hashlib.sha256()
    while data := part.file.read(_PIECE):
        digest.update(data)
    part.file.seek(0)
    return digest.hexdigest()
