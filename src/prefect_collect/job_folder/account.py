"""The result of an attempt, made from its counts and failures, and the line of text that describes it."""

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
    """Return the result of an attempt of any kind of job, with the status computed from its counts.

    Args:
        total: The counts of the whole job after the attempt.
        this: The counts of the items that the attempt worked on.
        codes: How many items did not succeed, by error code.
        job_failures: What went wrong with the job as a whole.
        receipt: What a canceled attempt kept; the status is then Canceled.
    """
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
    """Return one line for the state of a job: a canceled job's receipt, the counts, then what went wrong."""
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
