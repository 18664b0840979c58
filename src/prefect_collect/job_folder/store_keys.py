"""The key grammar of the staging store, layout version 1.

    <job id>/
      job.json                              what was asked for; made once
      query/<SHA-256>.json                  the patterns of a query that has many; job.json names it
      attempts/0001.json                    claims the attempt's number; made once, by exactly one process
      attempts/0001.stop.json               why the attempt stops early, for its shards on a cluster
      attempts/0001.cancel.json             the same, if it is canceled after it was to stop for another reason
      inventory/0001/part-00000.parquet     the items found, one part for each shard
      inventory/0001/inventory.json         made last: the inventory is complete (its totals, its proof)
      ledger/0001/part-00000.parquet        the outcomes of that part's items; made last: the shard's commit
      segments/0001/00000.zip               the staged items of that shard
      segments/0001/00000-0017.zip          row 17 of that shard, too large to share a segment
      segments/0001/00000.5eed1234.zip      the same of a shard on a cluster, which may run twice: each run has a name
      manifest/0001.parquet                 every item held after that attempt
      reports/0001/errors.parquet           every item that did not succeed, after that attempt
      reports/0001/errors.csv
      reports/0001/names.csv                of an export: items whose names not every system accepts, if there are any
      reports/0001/numbers.parquet          of an export as a load file: the control numbers of all items
      reports/0001/result.json              made last: the attempt is closed
      selections/<SHA-256>.parquet          items of a report that a user chose to retry
      evidence/0001.sha256                  the SHA-256 of every file of that attempt; made when it is closed
      custody/000001.json                   who did what; each holds the hash of the one before

    queries/<SHA-256>.json                  patterns that were saved for several jobs
    queries/<SHA-256>.5eed1234.json         patterns of a job that has not been started
    estimates/<SHA-256>/<time>.json         what a collection of a source is expected to take

Attempts are numbered from 1, parts and rows from 0, custody entries from 1. No file is rewritten. The highest closed
attempt is the present one.
"""

from __future__ import annotations

import re
from typing import Final

_UNSTARTED: Final = re.compile(r"queries/[0-9a-f]{64}\.[0-9a-f]{8}\.json")

LAYOUT_VERSION: Final = 1
"""The layout version in job.json; a job with a higher one is refused."""

MAX_ATTEMPT: Final = 32_767
"""The highest number of an attempt: manifests hold it in 16 bits."""

MAX_PART: Final = 999_999_999
"""The highest number of a part, and of a custody entry; files with higher numbers do not belong to a job."""

_SEGMENT: Final = re.compile(r"segments/\d{4,5}/\d{5,9}(?:-\d{4,9})?(?:\.[0-9A-Za-z_]{1,64})?\.zip", re.ASCII)


def numbered(text: str, digits: int, most: int) -> int | None:
    """Return the number in a file's name, padded to so many digits; None if it is written otherwise or is too high."""
    if len(text) > len(str(most)) or not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if text == f"{number:0{digits}d}" and number <= most else None


def job_key(job_id: str) -> str:
    """Return the key of what was asked for."""
    return f"{job_id}/job.json"


def query_key(job_id: str, sha256: str) -> str:
    """Return the key of the patterns of a job's query, if it has many."""
    return f"{job_id}/query/{sha256}.json"


def saved_query_key(sha256: str, unstarted: str = "") -> str:
    """Return the key of patterns for several jobs, or, with `unstarted`, for one job that has not been started."""
    return f"queries/{sha256}{unstarted and f'.{unstarted}'}.json"


def estimates_key(sha256: str) -> str:
    """Return the folder of the estimates of a source and a query, by their SHA-256 (hex)."""
    return f"estimates/{sha256}/"


def is_unstarted_query(key: str) -> bool:
    """Return whether the key is that of the patterns of a job that has not been started."""
    return _UNSTARTED.fullmatch(key) is not None


def attempt_key(job_id: str, attempt: int) -> str:
    """Return the key of the claim of an attempt's number."""
    return f"{job_id}/attempts/{attempt:04d}.json"


def stop_key(job_id: str, attempt: int) -> str:
    """Return the key of the mark that an attempt stops early, made by the process that runs it."""
    return f"{job_id}/attempts/{attempt:04d}.stop.json"


def cancel_key(job_id: str, attempt: int) -> str:
    """Return the key of the mark that an attempt, which already stops for another reason, is canceled."""
    return f"{job_id}/attempts/{attempt:04d}.cancel.json"


def inventory_key(job_id: str, attempt: int, part: int) -> str:
    """Return the key of one part of the items found."""
    return f"{job_id}/inventory/{attempt:04d}/part-{part:05d}.parquet"


def inventory_end_key(job_id: str, attempt: int) -> str:
    """Return the key of the mark that an inventory is complete."""
    return f"{job_id}/inventory/{attempt:04d}/inventory.json"


def ledger_key(job_id: str, attempt: int, part: int) -> str:
    """Return the key of the outcomes of one shard: its commit."""
    return f"{job_id}/ledger/{attempt:04d}/part-{part:05d}.parquet"


def segment_name(attempt: int, part: int, row: int | None = None, run: str = "") -> str:
    """Return a segment's key below the job's folder, as manifests hold it; `row` for an item with its own segment.

    `run` distinguishes the runs of a shard that may run more than once.
    """
    return f"segments/{attempt:04d}/{part:05d}{'' if row is None else f'-{row:04d}'}{run and f'.{run}'}.zip"


def is_segment_name(name: str) -> bool:
    """Return whether a name has the form of `segment_name`.

    No other name in a manifest is looked for in the store.
    """
    return _SEGMENT.fullmatch(name) is not None


def is_segment_of(name: str, attempt: int, part: int) -> bool:
    """Return whether it is the name of a segment that this shard writes."""
    start = segment_name(attempt, part).removesuffix(".zip")
    return is_segment_name(name) and name.startswith((f"{start}.", f"{start}-"))


def segment_key(job_id: str, name: str) -> str:
    """Return the key of a segment, from the name that a manifest holds."""
    return f"{job_id}/{name}"


def manifest_key(job_id: str, attempt: int) -> str:
    """Return the key of the list of all items held after that attempt."""
    return f"{job_id}/manifest/{attempt:04d}.parquet"


def report_key(job_id: str, attempt: int, name: str) -> str:
    """Return the key of a report of an attempt: its name is ``errors.parquet`` or another of those above."""
    return f"{job_id}/reports/{attempt:04d}/{name}"


def result_key(job_id: str, attempt: int) -> str:
    """Return the key of an attempt's result; the file's presence closes the attempt."""
    return report_key(job_id, attempt, "result.json")


def selection_key(job_id: str, sha256: str) -> str:
    """Return the key of a selection of items to retry, by the SHA-256 (hex) of the file."""
    return f"{job_id}/selections/{sha256}.parquet"


def evidence_key(job_id: str, attempt: int) -> str:
    """Return the key of the hashes of an attempt's files."""
    return f"{job_id}/evidence/{attempt:04d}.sha256"


def custody_key(job_id: str, entry: int) -> str:
    """Return the key of one entry of the custody log."""
    return f"{job_id}/custody/{entry:06d}.json"
