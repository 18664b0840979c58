"""What an error code says of a failure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """What kind of trouble a code stands for, to group a report by."""

    PERMISSION = "permission"
    MISSING = "missing"
    CHANGED = "changed"
    INTEGRITY = "integrity"
    NETWORK = "network"
    CAPACITY = "capacity"
    NAME = "name"
    CONTENT = "content"
    JOB = "job"


class Who(StrEnum):
    """Who has to act before a retry can succeed."""

    NOBODY = "nobody"
    """A retry alone may do, or nothing needs to be done."""
    SOURCE_OWNER = "owner of the data source"
    STORE_OWNER = "owner of the staging store or destination"
    JOB_OWNER = "whoever runs the job"


@dataclass(frozen=True, slots=True)
class Code:
    """One error code.

    Attributes:
        name: the code itself, as reports hold it.
        category: what kind of trouble it is.
        meaning: what happened, as a sentence.
        action: what a user can do about it, as a sentence.
        who: who has to act.
        retryable: whether a later try may succeed by itself.
        tried_again: whether an item that fails with it is tried again within the attempt.
        stops_job: whether what one item met all others will meet too, so that a job stops after twenty in a row.
    """

    name: str
    category: Category
    meaning: str
    action: str
    who: Who
    retryable: bool = False
    tried_again: bool = False
    stops_job: bool = False
