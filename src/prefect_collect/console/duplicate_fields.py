"""The fields of a form that say what an export does with duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from prefect_collect.errors import UsageError
from prefect_collect.parameters import Deduplicate


def duplicate_fields(fields: Mapping[str, str], prefix: str = "") -> dict[str, Any]:
    """Return the parameters of an export that a form asks for, without empty fields. Raise UsageError."""
    deduplicate = fields.get(f"{prefix}deduplicate", "").strip()
    if deduplicate and deduplicate not in get_args(Deduplicate):
        raise UsageError(
            f"deduplicate must be {' or '.join(get_args(Deduplicate))}, or empty. [deduplicate={deduplicate:.40}]"
        )
    jobs = fields.get(f"{prefix}duplicates_of", "").replace(",", " ").split()
    return {
        **({"deduplicate": deduplicate} if deduplicate else {}),
        **({"duplicates_of": [*dict.fromkeys(jobs)]} if jobs else {}),
    }
