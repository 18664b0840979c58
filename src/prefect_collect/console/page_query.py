"""What a page with a table shows, as its address says it: a dataclass whose fields are the address's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import MAXYEAR, UTC, datetime
from typing import Any, Final, Self
from urllib.parse import urlencode

MOST_PAGES: Final = 1_000_000
_LONGEST: Final = 500


@dataclass(frozen=True)
class PageQuery:
    """The base of the queries of tables; all fields but the page are texts.

    Attributes:
        page: The page, from 1.
    """

    page: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Self:
        """Return what the parameters of an address ask for; what cannot be understood is left out."""
        known: dict[str, Any] = {each.name: parameters.get(each.name, "").strip()[:_LONGEST] for each in fields(cls)}
        return cls(**{**known, "page": whole(known["page"], MOST_PAGES) or 1}).understood()

    def understood(self) -> Self:
        """Return the query without values that cannot be understood."""
        return self

    @property
    def is_filtered(self) -> bool:
        """True if rows may be left out."""
        return any(getattr(self, each.name) for each in fields(self) if each.name not in self.unfiltering())

    @classmethod
    def unfiltering(cls) -> tuple[str, ...]:
        """Return the names of the fields that leave no row out."""
        return ("page",)

    def address(self, **changed: Any) -> str:
        """Return the parameters as text for an address, with some changed; those with their default are left out."""
        query = replace(self, **changed)
        return urlencode({e.name: value for e in fields(query) if (value := getattr(query, e.name)) != e.default})


def whole(text: str, most: int) -> int | None:
    """Return a whole number from 0 to `most`; None if the text is not a number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 and int(text) <= most else None


def day(text: str) -> datetime | None:
    """Return the beginning of a day given as 2026-01-31, in UTC; None if the text is not a day, or is in year 9999."""
    try:
        found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return found if found.year < MAXYEAR else None  # the day after it is a date, too
