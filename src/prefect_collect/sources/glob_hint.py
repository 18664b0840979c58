"""What a glob without wildcards matches, for a query that matched nothing because of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_WILD: Final = frozenset("*?[")


def plain_hint(patterns: Iterable[str]) -> str:
    """Return a sentence on the first pattern without wildcards, for a query that matched nothing; "" if all have."""
    plain = next((pattern for pattern in patterns if not _WILD & set(pattern) and not pattern.endswith("/")), "")
    if not plain:
        return ""
    if "/" in plain:
        return f"{plain} has no wildcard, so it matches only that exact path; {plain}/** matches all in such a folder."
    return f"{plain} has no wildcard, so it matches only that exact name; *{plain}* matches every name with it."
