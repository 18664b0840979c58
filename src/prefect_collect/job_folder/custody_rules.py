"""When a custody log is whole, and what that means for its job.

A log is whole if nothing in it was changed or is missing, it begins where the job does, and it goes as far as the job
does. One entry may be missing at its end, as a process can die between an attempt's result and that entry: the
attempt's end. `custody_events.record_missed_events` adds it, marked as ``late``.

Whatever is used of a job (a preview, a download, an export, another attempt, a comparison with what it holds) needs a
whole log. Deleting a job, closing what a lost process left, and showing it do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prefect_collect.errors import EvidenceError
from prefect_collect.job_folder import custody_log, json_fields
from prefect_collect.job_folder.custody_log import Chain, Entry
from prefect_collect.untrusted.bounded_json import BadValue

if TYPE_CHECKING:
    from prefect_collect.job_folder.folder import JobFolder

CREATED: Final = "created"
"""The action that says that job.json was made."""

STARTED: Final = "started"
"""The action that says that an attempt's number was claimed."""

ENDED: Final = "ended"
"""The action that says that an attempt has ended, and vouches for its files."""

VOUCHING: Final = (CREATED, STARTED, ENDED)
"""The actions whose entries vouch for files."""


def said(chain: Chain) -> set[tuple[str, int | None]]:
    """The action and the attempt of every entry."""
    pairs = ((entry.action, entry.details.get("attempt")) for entry in chain.entries)
    return {(action, attempt if type(attempt) is int else None) for action, attempt in pairs}


def damage_of(folder: JobFolder, chain: Chain | None = None) -> str:
    """What is wrong with a job's log, as the beginning of a sentence; "" if it is whole. Raises StoreError.

    A job that has made no attempt has nothing that its log could vouch for, so the log may be missing.
    """
    attempts, closed = folder.attempts(), folder.closed_attempts()
    if not attempts and not closed:
        return ""
    chain = custody_log.check_chain(folder) if chain is None else chain
    if chain.problems:
        return f"The custody log of the job was changed ({chain.problems[0]})"
    known = said(chain)
    if (CREATED, None) not in known:
        return "The custody log of the job is gone, or does not begin where the job does"
    if any(entry.action in VOUCHING and not vouches(entry) for entry in chain.entries):
        return "The custody log of the job has an entry that does not say what such an entry says"
    unclaimed = [attempt for attempt in closed if attempt not in attempts]
    if unclaimed:
        return f"Attempt {unclaimed[0]} of the job has a result, but not the claim that its custody log tells of"
    if closed and (STARTED, closed[-1]) not in known:
        return f"The custody log of the job was cut off: it does not say that attempt {closed[-1]} was started"
    gone = [attempt for attempt in attempts if (ENDED, attempt) in known and attempt not in closed]
    if gone:
        return f"The custody log of the job says that attempt {gone[0]} has ended, but its result is gone"
    return ""


def vouches(entry: Entry) -> bool:
    """Return whether an entry is one that vouches for files, and says what such an entry says."""
    if entry.action not in VOUCHING:
        return False
    try:
        json_fields.VOUCHED({"attempt": 1, **entry.details}, "details")
    except BadValue:
        return False
    return True


def require_whole(folder: JobFolder, chain: Chain | None = None) -> None:
    """Raise EvidenceError unless the job's log is whole."""
    if damage := damage_of(folder, chain):
        raise EvidenceError(damage_text(damage, folder.job_id))


def damage_text(damage: str, job_id: str) -> str:
    """The sentence that says what a damaged log means, and what to do."""
    return (
        f"{damage}, so nothing vouches for the job's files. See `prefect-collect verify {job_id}`, and restore the "
        f"job's folder from a backup, or collect or export again as a new job. [job={job_id}]"
    )
