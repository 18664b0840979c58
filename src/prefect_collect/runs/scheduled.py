"""What a run that a schedule made shows as a job: when it was due, and the name that it gets when it starts.

Prefect creates such runs days before they are due, and gives each a name of its own, as ``refined-bobcat``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from prefect_collect.escaping import one_line

_NOT_STARTED: Final = ("SCHEDULED", "PENDING")


def created_at(created: datetime | None, due: datetime | None, *, by_schedule: bool) -> datetime | None:
    """Return when a job was created: when its run was, or, if a schedule made the run, when it was due."""
    return due if by_schedule and due is not None else created


def name_of(name: str, parameters: Mapping[str, Any], state_type: str | None, *, by_schedule: bool) -> str:
    """Return the name of a job: its run's, or, if a schedule made the run and it has not started, the parameter's."""
    given = parameters.get("name")
    if by_schedule and state_type in _NOT_STARTED and isinstance(given, str) and given:
        return one_line(given)
    return name
