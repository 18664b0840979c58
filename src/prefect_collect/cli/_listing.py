"""Lists of jobs, of which some may not be readable: each is listed with what is known of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.cli._find_job import is_trouble, readable, uncounted
from prefect_collect.errors import CollectError
from prefect_collect.job_folder.folder import JobFolder, job_folders
from prefect_collect.statuses import JobKind
from prefect_collect.stores import Store

if TYPE_CHECKING:
    from prefect_collect.jobs import Job

_SHORTEST: Final = 8


@dataclass(frozen=True)
class Listed:
    """A job in a list.

    Attributes:
        job: The job, without its folder if that cannot be read.
        trouble: Why not all is known of the job; empty if all is known.
        known: Whether at least the job's kind is known.
    """

    job: Job
    trouble: str = ""
    known: bool = True

    @property
    def kind(self) -> JobKind | None:
        """The job's kind; None if it is not known."""
        return self.job.kind if self.known else None

    @property
    def status(self) -> str:
        """The job's status; empty if it is not known."""
        return self.job.status.value if self.job.status else ""

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON; its field `unreadable` says why not all is known, or is None."""
        kind = self.kind and self.kind.value
        return {**self.job.to_json(), "kind": kind, "unreadable": self.trouble or None}


def listed_jobs(jobs: Iterable[Job]) -> list[Listed]:
    """Return the listed jobs of Prefect; a staging store that does not answer is asked only once."""
    listed, silent = [], dict[str, str]()
    for job in jobs:
        url = "" if job.place is None else job.place.store.url
        shown, lacking = readable(job, silent.get(url, ""))
        trouble = lacking if is_trouble(lacking) else uncounted(shown, lacking)
        if is_trouble(lacking) and url and _is_silent(job):
            silent[url] = trouble
        listed.append(Listed(shown, trouble, known=bool(shown.name) or not trouble))
    return listed


def _is_silent(job: Job) -> bool:
    """Return whether the job's whole store does not answer, rather than only this job's files being unreadable."""
    assert job.place is not None
    try:
        next(iter(job.place.store.folders()), None)
    except CollectError:
        return True
    return False


def listed_evidence(store: Store) -> list[Listed]:
    """Return the jobs in a staging store, the newest first, the unreadable ones last."""
    listed = [_evidence(folder) for folder in job_folders(store)]
    return sorted(listed, key=lambda one: one.job.created.timestamp() if one.job.created else 0.0, reverse=True)


def _evidence(folder: JobFolder) -> Listed:
    from prefect_collect.jobs.stored_jobs import job_from_evidence, unreadable

    try:
        shown, lacking = readable(job_from_evidence(folder))
    except CollectError as error:
        return Listed(replace(unreadable(folder, ""), place=None), str(error), known=False)
    return Listed(shown, lacking if is_trouble(lacking) else uncounted(shown, lacking))


def shortest(ids: Iterable[str]) -> dict[str, str]:
    """Return for each id its shortest beginning, of at least 8 characters, that is unique among them."""
    ids = sorted(set(ids))
    found = {}
    for before, job_id, after in zip(["", *ids], ids, [*ids[1:], ""], strict=False):
        length = _SHORTEST
        while length < len(job_id) and job_id[:length] in (before[:length], after[:length]):
            length += 1
        found[job_id] = job_id[:length]
    return found
