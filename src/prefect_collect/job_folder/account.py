"""The result of an attempt, made from its counts and failures, and the line of text that describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from prefect_collect.codes import Failure
from prefect_collect.job_folder.folder import JobRecord, now
from prefect_collect.job_folder.result import Counts, Receipt, TaskResult, computed_status
from prefect_collect.statuses import TASK_OF_STATUS


@dataclass(slots=True)
class Tally:
    """How many items did not succeed.

    Attributes:
        codes: By error code; 0 for a code that only the job as a whole has.
        outcomes: By outcome, then by error code.
    """

    codes: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, outcome: str, code: str, items: int) -> None:
        """Count items of that outcome and code; 0 for the job as a whole."""
        self.codes[code] = self.codes.get(code, 0) + items
        if items:
            of_outcome = self.outcomes.setdefault(outcome, {})
            of_outcome[code] = of_outcome.get(code, 0) + items


def result_of(
    record: JobRecord, attempt: int, started: datetime, total: Counts, this: Counts, report: Tally,
    job_failures: Sequence[Failure], *, receipt: Receipt | None, warnings: Sequence[str],
) -> TaskResult:  # fmt: skip
    """Return the result of an attempt of any kind of job, with the status computed from its counts.

    Args:
        total: The counts of the whole job after the attempt.
        this: The counts of the items that the attempt worked on.
        report: How many items did not succeed, by outcome and error code.
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
        codes=_most_first(report.codes),
        outcomes={outcome: _most_first(codes) for outcome, codes in report.outcomes.items()},
        warnings=tuple(warnings),
        message=describe(total, report.outcomes, job_failures, receipt),
        receipt=receipt,
    )


def describe(
    counts: Counts, outcomes: Mapping[str, Mapping[str, int]], job_failures: Sequence[Failure],
    receipt: Receipt | None = None,
) -> str:  # fmt: skip
    """Return one line for the state of a job: a canceled job's receipt, the counts, then what went wrong."""
    if receipt is not None and not job_failures:
        same = Receipt(counts.succeeded, receipt.cut_off, counts.left - receipt.cut_off, counts.bytes)
        if receipt == same and not (counts.failed or counts.skipped or counts.elsewhere):
            return str(receipt)
    parts = [f"{counts.succeeded:,} of {counts.found:,} {'item' if counts.found == 1 else 'items'} succeeded"]
    rest = (counts.failed, "failed"), (counts.skipped, "skipped"), (counts.not_attempted, "not attempted")
    parts += [
        f"{number:,} {words}{_codes_text(outcomes.get(words.replace(' ', '_'), {}))}"
        for number, words in rest
        if number
    ]
    text = ", ".join(parts)
    if receipt is not None:
        text = f"{receipt} In all, {text}"
    sentences = [text, *(failure.message.rstrip(".") for failure in job_failures)]
    return " ".join(one if one.endswith("]") else f"{one}." for one in sentences)  # messages end in "[key=…]"


def _codes_text(codes: Mapping[str, int]) -> str:
    tally = ", ".join(f"{code} {number:,}" for code, number in _most_first(codes).items())
    return f" ({tally})" if tally else ""


def _most_first(codes: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(codes.items(), key=lambda entry: (-entry[1], entry[0])))
