"""What the forms of several pages share: reading their fields, and the check that a worker will run the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import Request

from prefect_collect import jobs
from prefect_collect.console.job_steps import NO_WORKER
from prefect_collect.errors import ActionNotAllowed, UsageError
from prefect_collect.statuses import JobKind
from prefect_collect.stores.addresses import STORE_BLOCKS, require_meant

_MOST_FIELDS: Final = 100


async def form_fields(request: Request) -> dict[str, str]:
    """Return the fields of a form, whose length the guard bounds; files in it are refused."""
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}


def is_checked(fields: Mapping[str, str], name: str) -> bool:
    """Return whether a box of a form is checked."""
    return bool(fields.get(name))


def require_whole(location: str, field: str) -> str:
    """Return a location that a user typed. Raise UsageError if it is a relative path or a mistyped URL.

    The console's working folder is not the one of the process that runs the job, and the user knows neither.
    """
    require_meant(location, field)
    if location and not location.startswith(("/", *STORE_BLOCKS)) and "://" not in location:
        raise UsageError(f"Type the whole path, such as /srv/data, and not {location!r}. [{field}]")
    return location


def require_worker(kind: JobKind) -> None:
    """Raise ActionNotAllowed if no process would run a new job of that kind."""
    if not jobs.has_worker(kind):
        raise ActionNotAllowed(f"{NO_WORKER} [{kind}]")
