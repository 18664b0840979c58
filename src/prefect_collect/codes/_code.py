"""The properties of an error code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """The category of a code, by which a report can be grouped."""

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
    """The role that has to act before a retry can succeed, as in the column `who_must_act` of error reports."""

    NOBODY = "nobody"
    """A retry alone may succeed, or nothing needs to be done."""
    SOURCE_OWNER = "owner of the data source"
    STORE_OWNER = "owner of the staging store or destination"
    JOB_OWNER = "whoever runs the job"


@dataclass(frozen=True, slots=True)
class Code:
    """One error code.

    Attributes:
        name: The code itself, as in error reports.
        category: The category.
        meaning: What happened, as a sentence.
        action: What a user can do about it, as a sentence.
        who: The role that has to act.
        retryable: True if a later try may succeed without any change by a user.
        tried_again: True if an item that fails with this code is tried again within the attempt.
        elsewhere: True if the source only names the item, which is kept elsewhere: no attempt can collect it.
        stops_job: True if the cause affects all items, so that a job stops after twenty such failures in a row.
        whole_meaning: What happened if the code is of the source, the store or the job as a whole; "" if `meaning`
            says that.
        whole_action: What to do then; "" if `action` says that.
    """

    name: str
    category: Category
    meaning: str
    action: str
    who: Who
    retryable: bool = False
    tried_again: bool = False
    elsewhere: bool = False
    stops_job: bool = False
    whole_meaning: str = ""
    whole_action: str = ""

    def meaning_for(self, *, whole: bool) -> str:
        """Return what happened to an item, or (`whole`) to the source, the store or the job as a whole."""
        return (whole and self.whole_meaning) or self.meaning

    def action_for(self, *, whole: bool) -> str:
        """Return what to do about it."""
        return (whole and self.whole_action) or self.action
