"""The counts of one ledger part."""

from __future__ import annotations

from itertools import compress

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.codes import ELSEWHERE
from prefect_collect.job_folder.result import Counts


def ledger_counts(table: pa.Table) -> Counts:
    """Return how many items of a ledger part have each outcome, and the bytes of those that succeeded."""
    outcomes = table["outcome"].to_pylist()
    not_attempted = outcomes.count("not_attempted")
    sizes = table["size"].to_pylist()
    return Counts(
        found=len(outcomes),
        succeeded=outcomes.count("succeeded"),
        failed=outcomes.count("failed"),
        skipped=outcomes.count("skipped"),
        not_attempted=not_attempted,
        bytes=sum(compress(sizes, [outcome == "succeeded" for outcome in outcomes])),
        elsewhere=count_elsewhere(table) if not_attempted else 0,
    )


def count_elsewhere(rows: pa.Table | pa.RecordBatch) -> int:
    """Return how many rows of a ledger part or an error report are items that the source only names."""
    codes = compress(rows["error_code"].to_pylist(), [o == "not_attempted" for o in rows["outcome"].to_pylist()])
    return sum(code in ELSEWHERE for code in codes)


def counts_by_holder(table: pa.Table) -> dict[str, list[int]]:
    """Return, for each earlier job, how many of its items are unchanged and how many changed, of a ledger part.

    Only incremental collections have such items. Items that failed or were not attempted are in neither number.
    """
    found: dict[str, list[int]] = {}
    if table["held_by"].null_count < table.num_rows:
        rows = zip(*(table[name].to_pylist() for name in ("held_by", "outcome", "error_code")), strict=True)
        for job, outcome, code in rows:
            if job is not None:
                counts = found.setdefault(job, [0, 0])
                counts[0] += code == "unchanged"
                counts[1] += outcome == "succeeded"
    return found


def cut_off(table: pa.Table) -> int:
    """Return how many items of a ledger part were not attempted although work on them had begun."""
    is_cut = pc.and_(pc.equal(table["outcome"], "not_attempted"), pc.greater(table["tries"], 0))
    return pc.sum(is_cut).as_py() or 0
