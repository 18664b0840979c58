"""Find the job that a user names on the command line, by its id or the beginning of its id."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from uuid import UUID

from prefect_collect.cli._places import require_store, store_location
from prefect_collect.errors import CollectError, JobNotFound, StoreError
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.statuses import JobStatus, NextStep, require_step, should_poll
from prefect_collect.stores import Store, open_store

if TYPE_CHECKING:
    from prefect_collect.jobs import Job

_PREFIX: Final = re.compile(r"[0-9a-f-]{6,36}")
_SHOWN: Final = 5
_WHOLE: Final = 36


@dataclass(frozen=True)
class Found:
    """A job that was found: its id, and the location of its staging store, if `in_store`; else only Prefect has it."""

    id: str
    location: str
    in_store: bool

    @property
    def folder(self) -> JobFolder:
        """The job's folder in the staging store."""
        return JobFolder(open_store(self.location), self.id)

    @property
    def store(self) -> str | None:
        """The store to pass to `prefect_collect.jobs`; None for the one in the job's parameters."""
        return self.location if self.in_store else None


def found_jobs(texts: list[str] | None, store: str | None) -> list[str] | None:
    """Return the ids of the jobs that `find_job` finds for these texts, each once; None for None."""
    return None if texts is None else [*dict.fromkeys(find_job(text, store, served=True).id for text in texts)]


def find_job(text: str, store: str | None, *, served: bool = False) -> Found:
    """Return the only job whose id is, or begins with, the text: from the staging store, else from Prefect.

    Prefect is asked only if a server is configured; it also has the jobs that were refused before they had a folder.

    Args:
        text: The id, or its beginning.
        store: The staging store; None for the default one.
        served: Whether the command starts a server if none is configured. Then a draft, of which the store holds only
            the custody log, is found without asking Prefect.

    Raises:
        JobNotFound: No job, or more than one, fits.
        StoreError: The store cannot be read, and Prefect has no such job.
        InvalidLocation: The store cannot be opened.
    """
    from prefect_collect.cli._server import configured_api

    location = store_location(store)
    wanted = _normal(text)
    opened = open_store(location)
    refused: StoreError | None = None
    try:
        fitting = _in_store(opened, wanted)
    except StoreError as error:
        fitting, refused = [], error
    asked = not fitting and configured_api() is not None
    if asked:
        fitting = _in_prefect(wanted, None if store is None else opened.url)
    if not fitting and refused is not None:
        raise refused
    if len(fitting) > 1:
        shown = ", ".join(fitting[:_SHOWN]) + (", …" if len(fitting) > _SHOWN else "")
        raise JobNotFound(
            f"{len(fitting)} jobs have an id that begins like this; give more of it: {shown}. [job={text}]"
        )
    if not fitting:
        if store is not None:
            require_store(location)
        where = "Prefect, nor in the staging store" if asked else "the staging store"
        raise JobNotFound(
            f"There is no such job in {where} {location}; list the jobs with `prefect-collect jobs`, or name the job's "
            f"store with --store. [job={text}]"
        )
    found = Found(fitting[0], location, refused is None and JobFolder(opened, fitting[0]).exists())
    if not found.in_store and not served:
        _require_prefect(found)
    return found


def _require_prefect(found: Found) -> None:
    from prefect_collect.cli._server import configured_api

    if configured_api() is None:
        raise JobNotFound(
            f"The job is a draft, of which the staging store holds nothing yet; set PREFECT_API_URL to ask Prefect. "
            f"[job={found.id}]"
        )


def _normal(text: str) -> str:
    """Return a whole id in its usual form, or the beginning of one. Raise JobNotFound if it is neither."""
    try:
        return str(UUID(text))
    except ValueError:
        prefix = text.strip().lower()
    if _PREFIX.fullmatch(prefix) is None:
        raise JobNotFound(
            "A job's id looks like 0194c1b0-7d3f-…; give at least its first 6 characters, and list the jobs with "
            f"`prefect-collect jobs`. [job={text}]"
        )
    return prefix


def _in_store(store: Store, wanted: str) -> list[str]:
    """Return the ids of jobs and drafts that fit. Raise JobNotFound if the only one that fits was deleted."""
    if len(wanted) == _WHOLE:
        names = [wanted] if next(iter(store.list(f"{wanted}/")), None) is not None else []
    else:
        names = [name for name in store.folders() if name.startswith(wanted)]
    there = [name for name in names if not _is_deleted(JobFolder(store, name))]
    if names and not there:
        command = f"prefect-collect verify {names[0]} --store {shlex.quote(store.url)}"
        raise JobNotFound(f"The job was deleted; `{command}` checks the rest of its custody log. [job={names[0]}]")
    return there


def _is_deleted(folder: JobFolder) -> bool:
    if folder.exists():
        return False
    from prefect_collect.job_folder.removal import deletion

    return deletion(folder) is not None


def _in_prefect(wanted: str, url: str | None) -> list[str]:
    """Return the ids of the jobs in Prefect that fit; with a store's URL, only of jobs with that store."""
    from prefect_collect import jobs

    if len(wanted) == _WHOLE:
        try:
            found = [jobs.get(wanted)]
        except JobNotFound:
            found = []
    else:
        found = [job for job in jobs.list_jobs(None) if job.id.startswith(wanted)]
    return [job.id for job in found if url is None or (job.place is not None and job.place.store.url == url)]


def place_in_prefect(job_id: str, step: NextStep) -> str:
    """Return the staging store of a job that only Prefect has. Raise ActionNotAllowed if it does not offer the step."""
    from prefect_collect import jobs

    job = jobs.get(job_id)
    if job.status is not None:
        require_step(job.kind, job.status, step)
    return job.folder.store.url


def require_offered(found: Found, step: NextStep) -> None:
    """Raise ActionNotAllowed if a server is configured and the job's status there does not offer the step."""
    from prefect_collect.cli._server import configured_api

    if configured_api() is None:
        return
    from prefect_collect import jobs

    with suppress(JobNotFound):
        job = jobs.get(found.id, found.store)
        if job.status is not None:
            require_step(job.kind, job.status, step)


def read_job(found: Found) -> tuple[Job, str]:
    """Return the job and where its status is from: "prefect" if a configured server has it, else "staging store"."""
    from prefect_collect.cli._server import configured_api

    if configured_api() is not None:
        from prefect_collect import jobs

        try:
            return jobs.get(found.id, found.store), "prefect"
        except JobNotFound:
            if not found.in_store:
                raise
    from prefect_collect.jobs.stored_jobs import job_from_evidence

    return job_from_evidence(found.folder), "staging store"


_NO_BLOCK: Final = "the block of its staging store was deleted"
_NO_ATTEMPT: Final = "it has had no attempt"
_NOT_CLOSED: Final = "attempt {} has no result; what it committed is kept, and the next attempt continues from it"
_UNSTARTED: Final = (JobStatus.DRAFTED, JobStatus.AWAITING_COLLECTION)
_GONE: Final = "its staging store holds nothing of it any more"
_NO_FOLDER: Final = "it ended before anything was written to its staging store"


def readable(job: Job, silent: str = "") -> tuple[Job, str]:
    """Return the job, and "" if its folder can be read; else the job without its folder, and the reason.

    So the job can be shown as Prefect has it, although its staging store cannot be read.

    Args:
        job: The job.
        silent: Why its store is known not to answer; then it is not asked.
    """
    if job.place is None:
        return job, _NO_BLOCK
    try:
        if not silent and not job.place.exists():
            return replace(job, place=None), _absent(job.place, job.status)
        if not silent and (job.record, job.result):  # both are read once, and kept
            return job, ""
    except CollectError as error:
        silent = str(error)
    return replace(job, place=None), silent


def _absent(folder: JobFolder, status: JobStatus | None) -> str:
    """Return why the job has no folder.

    Raise StoreError if the whole store is gone; for a bucket only a listing shows that.
    """
    next(iter(folder.store.list(f"{folder.job_id}/")), None)
    held = status in (JobStatus.SUCCESSFULLY_COMPLETED, JobStatus.PARTIALLY_COMPLETED)
    return _GONE if held else _NO_FOLDER


def uncounted(job: Job, lacking: str) -> str:
    """Return why a job that has ended has no counts; "" if it has them, has not ended, or was canceled unstarted.

    `lacking` is the reason that `readable` returned with the job.
    """
    if job.result is not None or should_poll(job.task_status) or job.status in _UNSTARTED:
        return ""
    if lacking or job.place is None:
        return "" if job.status is JobStatus.CANCELED and lacking == _NO_FOLDER else lacking
    try:
        attempts = job.place.attempts()
    except CollectError as error:
        return str(error)
    if not attempts:
        return "" if job.status in (JobStatus.CANCELED, None) else _NO_ATTEMPT
    return _NOT_CLOSED.format(attempts[-1])


def is_trouble(lacking: str) -> bool:
    """Return whether `readable`'s reason is a fault, rather than that there never was anything to read."""
    return lacking not in ("", _NO_BLOCK, _NO_FOLDER)
