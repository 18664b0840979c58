"""The exports that were made of a collection, and which of them lack what a later attempt collected.

An export is bound to the items that its collection held when the export first started. It does not change when the
collection is retried, so a finished export may hold fewer items than its collection. The collection's custody log names
each export with the attempt that it was made from, and the results of the attempts count what was held after each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.custody_events import EXPORTED
from prefect_collect.job_folder.custody_log import Entry
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult

_AGAIN: Final = ": export again"


@dataclass(frozen=True, slots=True)
class ExportMade:
    """A finished export of a collection.

    Attributes:
        job_id: The id of the export.
        package: The location of its package.
        attempt: The attempt of the collection whose items it holds.
        newest: The last attempt of the collection that ended.
        lacking: The number of items that the collection held after `newest`, but not after `attempt`.
        is_replaced: Whether a later export holds them.
    """

    job_id: str
    package: str
    attempt: int
    newest: int
    lacking: int = 0
    is_replaced: bool = False

    @property
    def note(self) -> str:
        """What the export lacks, and what to do about it; "" if it holds all that its collection holds."""
        if not self.lacking:
            return ""
        more = f"{self.lacking:,} more {'item' if self.lacking == 1 else 'items'}"
        since = f"attempt {self.newest}" if self.newest == self.attempt + 1 else f"later attempts, up to {self.newest},"
        return f"made from attempt {self.attempt}; {since} collected {more}{'' if self.is_replaced else _AGAIN}"


def exports_made(entries: Iterable[Entry], attempts: Sequence[TaskResult]) -> list[ExportMade]:
    """Return the finished exports of a collection in the order in which they ended.

    Args:
        entries: The entries of the collection's custody log.
        attempts: The results of the collection's attempts.
    """
    held = {result.attempt: result.counts.succeeded for result in attempts}
    made = {made.job_id: made for entry in entries if (made := _made(entry, max(held, default=0))) is not None}
    lacking = {one.job_id: max(0, held[one.newest] - held[one.attempt]) for one in made.values() if one.attempt in held}
    newest = [one.attempt for one in made.values() if one.attempt in held and not lacking[one.job_id]]
    return [
        ExportMade(one.job_id, one.package, one.attempt, one.newest, lacking.get(one.job_id, 0), bool(newest))
        for one in made.values()
    ]


def exports_of_folder(
    folder: JobFolder, attempts: Sequence[TaskResult] | None = None, entries: Iterable[Entry] | None = None
) -> list[ExportMade]:
    """Return the finished exports of the collection in a job folder; none if it was deleted.

    What is known of it, its results or the entries of its custody log, is not read. Raise StoreError, CorruptPart.
    """
    if attempts is None:
        found = (folder.result(attempt) for attempt in folder.closed_attempts())
        attempts = [result for result in found if result is not None]
    return exports_made(custody_log.check_chain(folder).entries if entries is None else entries, attempts)


def _made(entry: Entry, newest: int) -> ExportMade | None:
    """Return the export that an entry names; None if the entry is about something else."""
    job_id, attempt = entry.details.get("job"), entry.details.get("attempt")
    if entry.action != EXPORTED or type(job_id) is not str or type(attempt) is not int:
        return None
    return ExportMade(job_id, str(entry.details.get("package") or ""), attempt, newest)
