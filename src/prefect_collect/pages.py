"""A job as a person reads it: its page in Markdown, and lines for a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from prefect_collect.codes import CODES
from prefect_collect.control import Progress
from prefect_collect.results import TaskResult
from prefect_collect.statuses import JobKind, JobStatus, NextStep, definition, next_steps

_BY_HAND: Final = {
    NextStep.CANCEL: "press Ctrl-C where it runs",
    NextStep.DELETE: (
        "remove its run from Prefect (`prefect flow-run delete {job_id}`), and its folder in the staging store"
    ),
}

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def bytes_text(size: float) -> str:
    """A size as people write it: ``1.5 MiB``."""
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def duration_text(seconds: float) -> str:
    """A duration as people write it: ``2 h 05 min``, ``3 min 20 s``, ``1.5 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def items_text(number: int) -> str:
    """How many items have an error code, where 0 stands for the job as a whole."""
    return f"{number:,}" if number else "the job"


def step_command(step: NextStep, job_id: str, store: str | None = None) -> str | None:
    """The command line that does a next step, naming the staging store if one is given; None if none does."""
    if step in _BY_HAND:
        return None
    suffix = {NextStep.EXPORT: " --to DEST", NextStep.DOWNLOAD: " --to DIR"}.get(step, "")
    named = "" if store is None else f" --store {shlex.quote(store)}"
    return f"prefect-collect {step.value.lower()} {job_id}{suffix}{named}"


def step_by_hand(step: NextStep, job_id: str) -> str:
    """How to do a next step that has no command line."""
    return _BY_HAND[step].format(job_id=job_id)


def progress_text(progress: Progress) -> str:
    """One line on how far an attempt is."""
    found = f"{progress.found:,}{'+' if progress.listing else ''}"
    rate = progress.bytes / progress.seconds if progress.seconds > 0 else 0
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    return (
        f"{progress.phase}: {progress.done:,} of {found} items, {bytes_text(progress.bytes)}"
        f" ({bytes_text(rate)}/s){failed}"
    )


def job_page(result: TaskResult, name: str, source: str) -> str:
    """The job's page: status, counts, what went wrong, next steps, and where things are."""
    counts = result.counts
    lines = [
        f"# {name}: {result.status}",
        "",
        definition(result.kind, result.status),
        "",
        result.message,
        "",
        *(f"> {warning}\n" for warning in result.warnings),
        "| | items |",
        "| --- | ---: |",
        f"| found | {counts.found:,} |",
        f"| succeeded | {counts.succeeded:,} |",
        f"| failed | {counts.failed:,} |",
        f"| skipped | {counts.skipped:,} |",
        f"| not attempted | {counts.not_attempted:,} |",
        "",
        f"{bytes_text(counts.bytes)}, success rate {result.success_rate:.2f} %, attempt {result.attempt}, "
        f"in {duration_text((result.ended - result.started).total_seconds())}. Source: `{source}`. "
        f"Job: `{result.job_id}`.",
        "",
        *_codes(result),
        "## Next steps",
        "",
        *_steps(result.kind, result.status, result.job_id),
        "",
        "## Where things are",
        "",
        f"- error report: `{result.error_report}` (and `errors.csv` beside it)",
    ]
    if result.package:
        lines.append(f"- package: `{result.package}`, fingerprint `{result.fingerprint}`")
    return "\n".join(lines) + "\n"


def _codes(result: TaskResult) -> list[str]:
    if not result.codes:
        return []
    rows = [f"| `{code}` | {items_text(number)} | {CODES[code].action} |" for code, number in result.codes.items()]
    return ["## What did not succeed", "", "| code | items | what to do |", "| --- | ---: | --- |", *rows, ""]


def _steps(kind: JobKind, status: JobStatus, job_id: str) -> Sequence[str]:
    commands = {step: step_command(step, job_id) for step in next_steps(kind, status)}
    return [f"- {step}: {f'`{line}`' if line else step_by_hand(step, job_id)}" for step, line in commands.items()]


def grouped_errors(result: TaskResult, rows: int = 100) -> list[dict[str, object]]:
    """The error report for a table: a summary row per code first, then the first items."""
    table: list[dict[str, object]] = [
        {
            "path": f"{number:,} in all" if number else items_text(number),
            "outcome": "",
            "error_code": code,
            "message": CODES[code].meaning,
            "suggested_action": CODES[code].action,
        }
        for code, number in result.codes.items()
    ]
    columns = ["path", "outcome", "error_code", "message", "suggested_action"]
    left = rows
    for batch in result.unsuccessful.batches():
        for row in batch.select(columns).slice(0, left).to_pylist():
            table.append({key: _shown(value) for key, value in row.items()})
            left -= 1
        if left <= 0:
            break
    return table


def _shown(value: object) -> object:
    return "" if value is None else value
