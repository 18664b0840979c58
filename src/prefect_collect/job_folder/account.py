"""What the account of an attempt amounts to: its result, and the line of text that says it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from prefect_collect.codes import Failure
from prefect_collect.job_folder.folder import JobRecord, now
from prefect_collect.job_folder.result import Counts, Receipt, TaskResult, computed_status
from prefect_collect.statuses import TASK_OF_STATUS


def result_of(
    record: JobRecord, attempt: int, started: datetime, total: Counts, this: Counts, codes: dict[str, int],
    job_failures: Sequence[Failure], *, receipt: Receipt | None, warnings: Sequence[str],
) -> TaskResult:  # fmt: skip
    """The result that an attempt's account amounts to, as every kind of job has it; with a `receipt`, Canceled."""
    status = computed_status(total, incomplete=bool(job_failures), canceled=receipt is not None)
    return TaskResult(
        job_id=record.job_id,
        kind=record.kind,
        attempt=attempt,
        task_status=TASK_OF_STATUS[status],
        status=status,
        counts=total,
        this_attempt=this,
        started=started,
        ended=now(),
        codes=dict(sorted(codes.items(), key=lambda entry: (-entry[1], entry[0]))),
        warnings=tuple(warnings),
        message=describe(total, codes, job_failures, receipt),
        receipt=receipt,
    )


def describe(
    counts: Counts, codes: dict[str, int], job_failures: Sequence[Failure], receipt: Receipt | None = None
) -> str:
    """One line for the state of a job: counts first, then what went wrong; a canceled one's receipt before them."""
    if receipt is not None and not job_failures:
        same = Receipt(counts.succeeded, receipt.cut_off, counts.not_attempted - receipt.cut_off, counts.bytes)
        if receipt == same and not counts.failed and not counts.skipped:
            return str(receipt)
    parts = [f"{counts.succeeded:,} of {counts.found:,} items succeeded"]
    rest = (counts.failed, "failed"), (counts.skipped, "skipped"), (counts.not_attempted, "not attempted")
    parts += [f"{number:,} {words}" for number, words in rest if number]
    text = ", ".join(parts)
    tally = [f"{code} {n:,}" for code, n in sorted(codes.items(), key=lambda entry: -entry[1]) if n]
    if tally:
        text += f" ({', '.join(tally)})"
    if receipt is not None:
        text = f"{receipt} In all, {text}"
    return ". ".join([text, *(failure.message.rstrip(".") for failure in job_failures)]) + "."
