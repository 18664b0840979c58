"""The rules by which a custody log is whole, and what needs a whole log.

A log is whole if no entry was changed or is missing, if it begins with the creation of the job, and if it reaches the
last attempt. Only the entry of the last attempt's end may be missing, because a process can die after it wrote the
result. `custody_events.record_missed_events` adds that entry, marked as ``late``.

Every use of a job (a preview, a download, an export, another attempt, a comparison with the items it holds) needs a
whole log. Deleting a job, closing an attempt whose process is lost, and showing a job do not.
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
"""The action of the entry that job.json was made."""

STARTED: Final = "started"
"""The action of the entry that an attempt's number was claimed."""

ENDED: Final = "ended"
"""The action of the entry that an attempt has ended, which vouches for the attempt's files."""

VOUCHING: Final = (CREATED, STARTED, ENDED)
"""The actions whose entries vouch for files."""


def recorded_events(chain: Chain) -> set[tuple[str, int | None]]:
    """Return the action and the attempt of every entry."""
    pairs = ((entry.action, entry.details.get("attempt")) for entry in chain.entries)
    return {(action, attempt if type(attempt) is int else None) for action, attempt in pairs}


def damage_of(folder: JobFolder, chain: Chain | None = None) -> str:
    """Return what is wrong with a job's log, as the beginning of a sentence; "" if it is whole. Raise StoreError.

    The log of a job without any attempt may be missing, because there is nothing yet for it to vouch for.
    """
    attempts, closed = folder.attempts(), folder.closed_attempts()
    if not attempts and not closed:
        return ""
    chain = custody_log.check_chain(folder) if chain is None else chain
    if chain.problems:
        return f"The custody log of the job was changed ({chain.problems[0]})"
    known = recorded_events(chain)
    if (CREATED, None) not in known:
        return "The custody log of the job is missing, or does not begin with the job's creation"
    if any(entry.action in VOUCHING and not vouches(entry) for entry in chain.entries):
        return "The custody log of the job has an entry with details that no entry of its kind has"
    unclaimed = [attempt for attempt in closed if attempt not in attempts]
    if unclaimed:
        return f"Attempt {unclaimed[0]} of the job has a result, but its claim is missing"
    if closed and (STARTED, closed[-1]) not in known:
        return f"The custody log of the job was cut off: the start of attempt {closed[-1]} is not in it"
    gone = [attempt for attempt in attempts if (ENDED, attempt) in known and attempt not in closed]
    if gone:
        return f"The custody log of the job records that attempt {gone[0]} has ended, but its result is missing"
    return ""


def vouches(entry: Entry) -> bool:
    """Return whether an entry vouches for files, and has the form of such an entry."""
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
    """Return the message about a damaged log: what it means, and what to do."""
    return (
        f"{damage}, so nothing vouches for the job's files. See `prefect-collect verify {job_id}`, and restore the "
        f"job's folder from a backup, or collect or export again as a new job. [job={job_id}]"
    )
