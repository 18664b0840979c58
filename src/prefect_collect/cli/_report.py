"""The command `report`: show, print or write a job's error report."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.cli._apart import require_apart_from_folder
from prefect_collect.cli._find_job import Found, find_job, read_job, readable
from prefect_collect.cli._new_file import new_file
from prefect_collect.cli._output import Output
from prefect_collect.cli._summary import print_codes
from prefect_collect.errors import ActionNotAllowed, CorruptPart, UsageError
from prefect_collect.escaping import one_line
from prefect_collect.job_folder import store_keys

if TYPE_CHECKING:
    from prefect_collect.job_folder.result import TaskResult


_PARQUET: Final = (".parquet",)


def show_report(text: str, store: str | None, *, to: Path | None, as_csv: bool, limit: int, json: bool) -> None:
    """Run ``report``."""
    out = Output(as_json=json)
    if to is not None:
        _require_new_report(to)
    found = find_job(text, store)
    if to is not None and found.in_store:
        require_apart_from_folder(found.folder.record(), found.location, str(to.absolute().parent))
    result = found.folder.result() if found.in_store else None
    if result is None:
        result = _result_by_prefect(found)
    if as_csv:
        if sys.stdout.isatty():
            _show_csv(result)
        else:
            _copy(result, "errors.csv", sys.stdout.buffer)
        return
    if to is not None:
        _write(result, to)
    rows = first_rows(result, limit)
    if json:
        out.json(
            {
                "job_id": result.job_id,
                "attempt": result.attempt,
                "status": result.status.value,
                "error_report": result.error_report,
                "error_report_csv": _csv_location(result),
                "written_to": None if to is None else str(to.absolute()),
                "codes": result.codes,
                "outcomes": result.outcomes,
                "errors": rows,
            }
        )
        return
    if to is not None:
        out.line(str(to))
        return
    print_report(out, result, rows)


def _result_by_prefect(found: Found) -> TaskResult:
    """Return the result from the store in the job's parameters. Raise ActionNotAllowed if the job has none."""
    job, _ = readable(read_job(found)[0])
    if job.result is not None:
        return job.result
    status = job.status.value if job.status else "of unknown status"
    message = f": {job.message}" if job.message else "."
    raise ActionNotAllowed(f"The {job.kind} has no report. It is {status}{message} [job={found.id}]")


def print_report(out: Output, result: TaskResult, rows: list[dict[str, Any]]) -> None:
    """Print the report: its summary by code, then its first rows."""
    if not result.codes:
        out.line("Everything succeeded; the report is empty.")
        return
    print_codes(out, result.code_counts)
    out.line()
    shown = [(row["outcome"], row["error_code"], row["path"] or "(the job)", row["message"] or "") for row in rows]
    out.table(("outcome", "code", "path", "message"), shown, fold={"path": 12, "message": 16})
    left = sum(result.codes.values()) - len(rows)
    if left > 0:
        out.line(f"… and {left:,} more (--csv prints all, --to FILE writes them)")


def first_rows(result: TaskResult, limit: int) -> list[dict[str, Any]]:
    """Return the first rows of the error report."""
    rows: list[dict[str, Any]] = []
    for batch in result.unsuccessful.batches():
        rows += batch.slice(0, limit - len(rows)).to_pylist()
        if len(rows) >= limit:
            break
    return rows


def _csv_location(result: TaskResult) -> str:
    return result.unsuccessful.store.locate(store_keys.report_key(result.job_id, result.attempt, "errors.csv"))


def _require_new_report(to: Path) -> None:
    """Raise UsageError unless the name ends in .csv or .parquet, and no file has it yet."""
    if to.suffix.lower() not in (*_PARQUET, ".csv"):
        document = to.suffix.lower() in (".pdf", ".html")
        also = f"; --{to.suffix[1:].lower()} {to} writes the chain of custody document" if document else ""
        raise UsageError(f"A report is written as .csv or .parquet; give the file such a name{also}. [{to}]")
    if os.path.lexists(to):
        raise UsageError(f"The file exists, and is not overwritten; give another name. [{to}]")
    if not to.absolute().parent.is_dir():
        raise UsageError(f"The folder for the report does not exist; create it, or name another. [{to.parent}]")


def _show_csv(result: TaskResult) -> None:
    """Print the CSV to a terminal: each row as one line, escaped so that it cannot control the terminal."""
    shown = csv.writer(sys.stdout, lineterminator="\n")
    key = store_keys.report_key(result.job_id, result.attempt, "errors.csv")
    with result.unsuccessful.store.open(key) as report:
        raw: Any = report
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="backslashreplace", newline="")
        try:
            for row in csv.reader(text):
                shown.writerow(map(one_line, row))
        except csv.Error as error:
            raise CorruptPart(f"The report cannot be read as CSV ({error}). [{result.error_report}]") from error


def _write(result: TaskResult, to: Path) -> None:
    name = "errors.parquet" if to.suffix.lower() in _PARQUET else "errors.csv"
    with new_file(to) as target:
        _copy(result, name, target)


def _copy(result: TaskResult, name: str, target: Any) -> None:
    with result.unsuccessful.store.open(store_keys.report_key(result.job_id, result.attempt, name)) as report:
        shutil.copyfileobj(report, target, 1 << 20)
    target.flush()
