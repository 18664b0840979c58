"""Which items of a source a collection takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from prefect_collect.errors import InvalidQuery
from prefect_collect.globs import compile_globs
from prefect_collect.items import Item


@dataclass(frozen=True)
class Query:
    """Filters over the items of a source; an item is taken if all of them let it pass.

    Attributes:
        include: globs over the item's path, of which one must match; empty for every item. `*` and `?` stay within a folder,
            `**` does not; a glob without "/" is matched against the file name.
        exclude: globs of which none may match; they win over `include`.
        modified_after: taken if modified at this time or later; a time without a zone is UTC.
        modified_before: taken if modified before this time.
        min_size: taken if at least this many bytes.
        max_size: taken if at most this many bytes.
        limit: take at most this many items.

    Raises:
        InvalidQuery: a field cannot be used, or contradicts another; the message names it.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    modified_after: datetime | None = None
    modified_before: datetime | None = None
    min_size: int | None = None
    max_size: int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        for name in ("include", "exclude"):
            value = getattr(self, name)
            if isinstance(value, str):
                value = (value,)
            object.__setattr__(self, name, tuple(value))
        for name in ("modified_after", "modified_before"):
            object.__setattr__(self, name, _time(name, getattr(self, name)))
        for name in ("min_size", "max_size", "limit"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
                raise InvalidQuery(f"{name} must be a whole number of 0 or more, not {value!r}.")
        if self.min_size is not None and self.max_size is not None and self.min_size > self.max_size:
            raise InvalidQuery(
                f"min_size ({self.min_size}) is larger than max_size ({self.max_size}): nothing can match."
            )
        if self.modified_after and self.modified_before and self.modified_after >= self.modified_before:
            raise InvalidQuery("modified_after is not before modified_before: nothing can match.")
        _ = self._included, self._excluded

    @classmethod
    def of(cls, value: Query | dict[str, Any] | None) -> Query:
        """A query from its JSON form, from None (everything), or itself. Raises InvalidQuery."""
        if isinstance(value, Query):
            return value
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(value or ()) - known):
            raise InvalidQuery(f"query has no field {unknown[0]!r}; it has {', '.join(sorted(known))}.")
        return cls(**(value or {}))

    def to_json(self) -> dict[str, Any]:
        """The fields that are set, as JSON values; `Query.of` takes it back."""
        values = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return {
            name: value.isoformat()
            if isinstance(value, datetime)
            else list(value)
            if isinstance(value, tuple)
            else value
            for name, value in values.items()
        }

    @cached_property
    def _included(self) -> re.Pattern[str] | None:
        return compile_globs(self.include, field="include")

    @cached_property
    def _excluded(self) -> re.Pattern[str] | None:
        return compile_globs(self.exclude, field="exclude")

    @cached_property
    def _everything(self) -> bool:
        return not self.to_json()

    def matches(self, item: Item) -> bool:
        """Whether the item is taken; what the source does not say of an item does not keep it out."""
        if self._everything:
            return True
        if self._included is not None and not self._included.search(item.path):
            return False
        if self._excluded is not None and self._excluded.search(item.path):
            return False
        if item.modified is not None:
            if self.modified_after is not None and item.modified < self.modified_after:
                return False
            if self.modified_before is not None and item.modified >= self.modified_before:
                return False
        if item.size is not None:
            if self.min_size is not None and item.size < self.min_size:
                return False
            if self.max_size is not None and item.size > self.max_size:
                return False
        return True

    def select(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items that are taken, in their order, at most `limit` of them."""
        left = self.limit
        if left == 0:
            return
        for item in items:
            if self.matches(item):
                yield item
                if left is not None:
                    left -= 1
                    if left == 0:
                        return


def _time(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidQuery(f"{name} must be a time like 2026-01-31T12:00:00Z, not {value!r}.") from error
    if not isinstance(value, datetime):
        raise InvalidQuery(f"{name} must be a time, not {value!r}.")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
