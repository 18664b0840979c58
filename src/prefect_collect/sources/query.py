"""The query: filters that select the items of a source which a collection takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, Final

from prefect_collect.errors import InvalidQuery
from prefect_collect.sources._item import STAGING_STORE, Item, Listed, ListingEnd
from prefect_collect.sources.globs import FolderGlobs, Globs, compile_folder_globs, compile_globs
from prefect_collect.storable import require_storable

PATTERNS: Final = re.compile(
    r"(?:queries/|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/query/)?"
    r"(?P<sha256>[0-9a-f]{64})(?:\.[0-9a-f]{8})?(?:\.json)?"
)
"""The form of `Query.patterns`: a key of the staging store, or the SHA-256 of the job's own file."""


@dataclass(frozen=True)
class Query:
    """Filters over the items of a source; an item is taken if it passes all of them.

    Attributes:
        include: Globs over the item's path, one of which must match; empty for every item. `*` and `?` stay within a
            folder, `**` does not; a glob without "/" is matched against the file name.
        exclude: Globs none of which may match; they take precedence over `include`.
        modified_after: Take items modified at this time or later. A time without a zone is UTC, a date its midnight.
        modified_before: Take items modified before this time.
        min_size: Take items of at least this many bytes.
        max_size: Take items of at most this many bytes.
        patterns: The place of `include` and `exclude` in the staging store if they are too long for a parameter;
            set by jobs or by `jobs.save_query`, and excludes both.
        limit: Take at most this many items that are to be read. Items that the source only reports (a skipped
            symbolic link, a folder that cannot be listed, a link) are accounted for and do not count.

    Raises:
        InvalidQuery: A field cannot be used, or contradicts another; the message names it.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    modified_after: datetime | None = None
    modified_before: datetime | None = None
    min_size: int | None = None
    max_size: int | None = None
    limit: int | None = None
    patterns: str | None = None

    def __post_init__(self) -> None:
        for name in ("include", "exclude"):
            object.__setattr__(self, name, _globs(name, getattr(self, name)))
            require_storable(getattr(self, name), name, InvalidQuery)
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
        if self.patterns is not None:
            self._require_patterns()
        _ = self._included, self._excluded

    def _require_patterns(self) -> None:
        if not isinstance(self.patterns, str) or PATTERNS.fullmatch(self.patterns) is None:
            raise InvalidQuery(f"patterns must be what `save_query` returns, not {str(self.patterns)[:100]!r}.")
        if self.include or self.exclude:
            raise InvalidQuery("patterns stands for include and exclude; leave out either patterns, or both of them.")

    @classmethod
    def of(cls, value: Query | dict[str, Any] | None) -> Query:
        """Return the query of a JSON form, or for None one that takes everything. Raise InvalidQuery."""
        if isinstance(value, Query):
            return value
        if value is not None and not isinstance(value, dict):
            raise InvalidQuery(f"query must be a table of fields such as {{'include': ['*.pdf']}}, not {value!r}.")
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(value or ()) - known):
            raise InvalidQuery(f"query has no field {unknown[0]!r}; it has {', '.join(sorted(known))}.")
        return cls(**(value or {}))

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set, as JSON values, from which `Query.of` makes the same query."""
        return {name: _to_json(value) for name, value in asdict(self).items() if value not in (None, ())}

    @cached_property
    def _included(self) -> Globs | None:
        return compile_globs(self.include, field="include")

    @cached_property
    def _excluded(self) -> Globs | None:
        return compile_globs(self.exclude, field="exclude")

    @cached_property
    def _included_folders(self) -> FolderGlobs | None:
        return compile_folder_globs(self.include, field="include")

    @cached_property
    def _everything(self) -> bool:
        return not self.to_json()

    def matches(self, item: Item) -> bool:
        """Return whether the item is taken; a field that the source does not state excludes no item.

        An item with an invalid path is therefore taken. A folder that could not be listed (its path ends in "/") is
        taken if an item below it could be; so is a file that was looked into (`Item.holds`). What another item names
        (`Item.named_by`) is taken if that one is, or by its own path, unless one of the two is excluded. The skipped
        item of the staging store is always taken, as a job reports it whatever the query is.
        """
        is_store = item.skipped is not None and item.skipped.code == STAGING_STORE
        if self._everything or is_store or (not item.path and item.failure is not None):
            return True
        if self.patterns is not None:
            raise InvalidQuery(f"The patterns have not been read from the staging store. [patterns={self.patterns}]")
        if item.holds is not None:
            return not item.holds or self.may_match_below(item.holds)
        if item.failure is not None and item.path.endswith("/"):
            return self.may_match_below(item.path)
        if not self._takes_paths([item.path] if item.named_by is None else [item.path, item.named_by.path]):
            return False
        item = item.named_by or item
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

    def _takes_paths(self, paths: list[str]) -> bool:
        """Return whether one of the paths is included, and none is excluded."""
        if self._included is not None and not any(map(self._included.match, paths)):
            return False
        return self._excluded is None or not any(map(self._excluded.match, paths))

    def may_match_below(self, folder: str) -> bool:
        """Return whether an item below a folder, whose path ends in "/", could be taken by its path."""
        if self._included_folders is not None and not self._included_folders.match(folder):
            return False
        # A folder is excluded as a whole only if names of any kind, at any depth below it, are excluded.
        kept_out = self._excluded is not None and all(
            self._excluded.match(folder + below) for below in ("\0", "\0/\0", "\0/\0/\0")
        )
        return not kept_out

    def select(self, listing: Iterable[Listed]) -> Iterator[Listed]:
        """Yield the items that are taken, in order, up to `limit` items that are to be read, and the listing's end.

        A listing that the limit cuts off is as complete as was asked for, and its end states the limit.
        """
        left = self.limit
        if left != 0:
            for listed in listing:
                if isinstance(listed, ListingEnd):
                    yield listed
                elif self.matches(listed):
                    yield listed
                    if left is not None and listed.unread is None:
                        left -= 1
                        if left == 0:
                            break
        if left == 0:
            yield ListingEnd(f"the limit of {self.limit} items was reached")


def _globs(name: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable):
        raise InvalidQuery(f"{name} must be a list of globs such as ['*.pdf'], not {value!r}.")
    return tuple(value)


def _time(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidQuery(
                f"{name} must be a day like 2026-01-31, or a time like 2026-01-31T12:00:00Z, not {value!r}."
            ) from error
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise InvalidQuery(f"{name} must be a time, not {value!r}.")
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidQuery(f"{name} ({value}) is outside the years 1 to 9999 in UTC.") from error


def _to_json(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
