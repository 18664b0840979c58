"""The roles of the console's users."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a user may do: `view` reads pages and evidence, `operate` also changes jobs and sources."""

    VIEW = "view"
    OPERATE = "operate"
