"""What an option of the command line sets: each says so in its declaration, as a field of a class of options."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args, get_type_hints

Group = Literal["query", "source", "flow", "export", "format"]
GROUPS: Final = frozenset(get_args(Group))


@dataclass(frozen=True)
class Of:
    """What an option sets: a field of this group, of the same name as the option if `field` is empty."""

    group: Group
    field: str = ""


QUERY: Final = Of("query")
SOURCE: Final = Of("source")
FLOW: Final = Of("flow")
EXPORT: Final = Of("export")
FORMAT: Final = Of("format")


def groups_of(options: Any) -> dict[str, Of]:
    """Return what each option of a class of options sets, by its name; without those that only add to others."""
    hints = get_type_hints(options, include_extras=True)
    declared = ((each.name, getattr(hints[each.name], "__metadata__", ())) for each in fields(options))
    return {name: what for name, metadata in declared for what in metadata if isinstance(what, Of)}
