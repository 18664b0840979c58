"""What an incremental collection cannot be exported as; refused before anything is collected."""

from __future__ import annotations

from prefect_collect.errors import UsageError
from prefect_collect.formats.registry import FORMATS, Format


def require_possible_since(format: Format, *, since: str | None, deduplicate: str | None) -> None:
    """Raise UsageError if the export that is asked for with a collection could not be made of what it leaves out.

    Args:
        format: The export's format.
        since: The collection's parameter; None if it is not incremental.
        deduplicate: The export's parameter.
    """
    if since is None or not FORMATS[format].whole:
        return
    facts = FORMATS[format]
    if not facts.grows:
        parts = ", ".join(name for name, one in FORMATS.items() if not one.whole and not one.not_sources)
        raise UsageError(
            f"{facts.title} has every table whole, and an incremental collection leaves out those that are unchanged: "
            f"collect without since, or export as {parts}. [since={since}, format={format}]"
        )
    if deduplicate is not None:
        raise UsageError(
            f"{facts.title} of an incremental collection cannot leave out duplicates, as the unchanged items are not "
            f"compared: leave out deduplicate, or since. [since={since}, deduplicate={deduplicate}, format={format}]"
        )
