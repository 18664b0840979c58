"""The result of an attempt: its counts, the status computed from them, and the lists of items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from prefect_collect.codes import CODES
from prefect_collect.errors import CorruptPart
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.duplicate_counts import DuplicateCounts
from prefect_collect.statuses import JobKind, JobStatus, TaskStatus

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from prefect_collect.stores import Store

Outcome = Literal["succeeded", "failed", "skipped", "not_attempted"]

UNSUCCESSFUL: Final = ("failed", "not_attempted", "skipped")
"""The outcomes of items that did not succeed, in the order in which they are shown."""


@dataclass(slots=True)
class Counts:
    """How many items were found, and how many have each outcome.

    `bytes` are those of the items that succeeded. `elsewhere` counts, of those not attempted, the items that the source
    only names: they are kept elsewhere, and no attempt can collect them.
    """

    found: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    not_attempted: int = 0
    bytes: int = 0
    elsewhere: int = 0

    def check(self) -> None:
        """Raise CorruptPart unless ``found = succeeded + failed + skipped + not_attempted``."""
        accounted = self.succeeded + self.failed + self.skipped + self.not_attempted
        if self.found != accounted:
            raise CorruptPart(
                f"The ledger accounts for {accounted} items, but {self.found} were found: "
                f"{self.succeeded} succeeded, {self.failed} failed, {self.skipped} skipped, "
                f"{self.not_attempted} not attempted. Compare the job's inventory and ledger in the staging store."
            )

    @property
    def left(self) -> int:
        """How many items were not attempted that a later attempt can collect."""
        return self.not_attempted - self.elsewhere

    @property
    def success_rate(self) -> float:
        """The percentage of the items neither skipped on purpose nor elsewhere that succeeded; 100 if of none."""
        wanted = self.found - self.skipped - self.elsewhere
        return 100.0 if wanted == 0 else 100.0 * self.succeeded / wanted

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a canceled attempt did with the items that it worked on.

    Attributes:
        kept: The items it collected, which stay held, with `kept_bytes` bytes. A canceled export keeps none.
        cut_off: The items that it was working on when it stopped.
        never_started: The items that it had not started; with `cut_off`, these are the items that Start takes up.
    """

    kept: int = 0
    cut_off: int = 0
    never_started: int = 0
    kept_bytes: int = 0

    def __str__(self) -> str:
        items = "item" if self.kept == 1 else "items"
        return f"Canceled: {self.kept:,} {items} kept, {self.cut_off:,} cut off, {self.never_started:,} never started."


def receipt_of(counts: Counts, cut_off: int) -> Receipt:
    """Return the receipt of an attempt with these counts, `cut_off` of whose unattempted items had been begun."""
    return Receipt(counts.succeeded, cut_off, counts.left - cut_off, counts.bytes)


def computed_status(counts: Counts, *, incomplete: bool = False, canceled: bool = False) -> JobStatus:
    """Return the status that follows from the counts of a ledger; no status is ever set by hand.

    `incomplete` means that the counts do not cover everything, because something went wrong with the job as a whole,
    such as a listing that broke off. Items that are elsewhere change no status: nothing of them failed, and nothing is
    left to do.
    """
    if canceled:
        return JobStatus.CANCELED
    if not incomplete and counts.failed == 0 and counts.left == 0:
        return JobStatus.SUCCESSFULLY_COMPLETED
    return JobStatus.PARTIALLY_COMPLETED if counts.succeeded else JobStatus.FAILED


@dataclass(frozen=True, slots=True)
class ItemTable:
    """Items of an attempt as a table that is read part by part, when it is asked for."""

    store: Store = field(repr=False)
    key: str
    outcome: Outcome | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, a few thousand at a time."""
        from prefect_collect.job_folder.parquet import read_batches

        for batch in read_batches(self.store, self.key):
            if self.outcome is None:
                yield batch
            else:
                import pyarrow.compute as pc

                yield batch.filter(pc.equal(batch["outcome"], self.outcome))

    def to_arrow(self) -> pa.Table:
        """Return all rows as an Arrow table (in memory)."""
        import pyarrow as pa

        from prefect_collect.job_folder.parquet import read_schema

        return pa.Table.from_batches(self.batches(), schema=read_schema(self.store, self.key))

    def to_pandas(self) -> pd.DataFrame:
        """Return all rows as a pandas DataFrame (in memory)."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self.batches())


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How many items have an outcome with an error code.

    Attributes:
        outcome: "failed", "skipped" or "not attempted"; "" if the result is of a version that did not count it.
        code: The error code.
        items: The number of items; 0 for a code that only the job as a whole has.
    """

    outcome: str
    code: str
    items: int

    @property
    def meaning(self) -> str:
        """What the code means, of items or of the job as a whole; "" for one that this version does not know."""
        return CODES[self.code].meaning_for(whole=not self.items) if self.code in CODES else ""

    @property
    def action(self) -> str:
        """What to do about it; "" for a code that this version does not know."""
        return CODES[self.code].action_for(whole=not self.items) if self.code in CODES else ""


def counts_by_outcome(outcomes: Mapping[str, Mapping[str, int]]) -> list[CodeCount]:
    """Return how many items have each outcome and code: failed, not attempted, skipped; the most items first."""
    return [
        CodeCount(outcome.replace("_", " "), code, items)
        for outcome in UNSUCCESSFUL
        for code, items in sorted(outcomes.get(outcome, {}).items(), key=lambda entry: (-entry[1], entry[0]))
    ]


@dataclass(frozen=True)
class TaskResult:
    """The result of an attempt; `counts` are of the whole job after that attempt.

    Attributes:
        task_status: The attempt's status, computed from the ledger.
        counts: All items ever found, and their outcomes up to this attempt.
        this_attempt: The items that this attempt worked on.
        estimated_items: How many items the source's listing announced, to compare with `counts`.
        estimated_bytes: How many bytes the source's listing announced.
        codes: How many items did not succeed, by error code; 0 for a code that only the job as a whole has.
        outcomes: The same by outcome ("failed", "skipped", "not_attempted"), without the job as a whole; empty in
            results of earlier versions.
        warnings: Plain sentences that a user should read, such as that nothing matched.
        notes: Plain sentences on what came of it where nothing is wrong, as of an incremental collection.
        listing_complete: Whether an attempt up to this one listed the source to its end; False for an export.
        receipt: For a canceled attempt, what it kept, what was cut off, and what it never started.
        relies_on: For an incremental collection, the ids of the jobs that hold what it skipped as unchanged.
        collection: For an export, the id of the collection and the number of the manifest it was made from.
        duplicates: For an export that made a package, how many items have the bytes of another.
        package: For an export, where the package is; its fingerprint is the SHA-256 of ``tagmanifest-sha256.txt``.
    """

    job_id: str
    kind: JobKind
    attempt: int
    task_status: TaskStatus
    status: JobStatus
    counts: Counts
    this_attempt: Counts
    started: datetime
    ended: datetime
    estimated_items: int | None = None
    estimated_bytes: int | None = None
    listing_complete: bool = False
    codes: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    message: str = ""
    receipt: Receipt | None = None
    relies_on: tuple[str, ...] = ()
    collection: dict[str, Any] | None = None
    duplicates: DuplicateCounts | None = None
    package: str | None = None
    fingerprint: str | None = None
    store: Store | None = field(default=None, repr=False, compare=False)

    @property
    def success_rate(self) -> float:
        """The percentage of `Counts.success_rate`; of no items, 0 if the job failed."""
        nothing = self.counts.found == self.counts.skipped + self.counts.elsewhere
        return 0.0 if nothing and self.status is JobStatus.FAILED else self.counts.success_rate

    @property
    def code_counts(self) -> list[CodeCount]:
        """What did not succeed: the job as a whole first, then failed, not attempted and skipped items."""
        of_items = counts_by_outcome(self.outcomes)
        with_outcome = {one.code for one in of_items}
        rest = [(code, items) for code, items in self.codes.items() if code not in with_outcome]
        return [*(CodeCount("" if items else "failed", code, items) for code, items in rest), *of_items]

    @property
    def successful(self) -> ItemTable:
        """The items held (of a collection) or delivered (by an export), in the columns of `table_columns.MANIFEST`."""
        return ItemTable(self._store, store_keys.manifest_key(self.job_id, self.attempt))

    @property
    def failed(self) -> ItemTable:
        """The items that failed, with error details, in the columns of `table_columns.ERRORS`."""
        return ItemTable(self._store, store_keys.report_key(self.job_id, self.attempt, "errors.parquet"), "failed")

    @property
    def unsuccessful(self) -> ItemTable:
        """Every item that did not succeed (failed, skipped, not attempted): the error report."""
        return ItemTable(self._store, store_keys.report_key(self.job_id, self.attempt, "errors.parquet"))

    @property
    def error_report(self) -> str:
        """The address of the error report as Parquet; the CSV file is beside it."""
        return self._store.locate(store_keys.report_key(self.job_id, self.attempt, "errors.parquet"))

    @property
    def _store(self) -> Store:
        if self.store is None:
            raise ValueError("This result was not read from a staging store, so its item lists cannot be read.")
        return self.store

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``result.json``; `from_json` reads it."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "store"}
        values |= {"counts": asdict(self.counts), "this_attempt": asdict(self.this_attempt)}
        values |= {"receipt": self.receipt and asdict(self.receipt)}
        values |= {"duplicates": self.duplicates and asdict(self.duplicates)}
        values |= {"started": self.started.isoformat(), "ended": self.ended.isoformat(), "warnings": [*self.warnings]}
        values |= {"relies_on": [*self.relies_on], "notes": [*self.notes]}
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any], store: Store) -> TaskResult:
        """Return a result from its JSON form. Raise CorruptPart if the form is wrong."""
        try:
            return cls(
                **{
                    **values,
                    "kind": JobKind(values["kind"]),
                    "task_status": TaskStatus(values["task_status"]),
                    "status": JobStatus(values["status"]),
                    "counts": Counts(**values["counts"]),
                    "this_attempt": Counts(**values["this_attempt"]),
                    "receipt": Receipt(**said) if (said := values.get("receipt")) else None,
                    "duplicates": DuplicateCounts(**said) if (said := values.get("duplicates")) else None,
                    "started": datetime.fromisoformat(values["started"]),
                    "ended": datetime.fromisoformat(values["ended"]),
                    "warnings": tuple(values["warnings"]),
                    "relies_on": tuple(values.get("relies_on", ())),
                    "notes": tuple(values.get("notes", ())),
                },
                store=store,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptPart(f"result.json cannot be understood ({error}); restore it from a backup.") from error
