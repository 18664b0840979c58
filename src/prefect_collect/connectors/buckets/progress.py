"""Whether a listing gets on: one that repeats itself, or never ends, is found."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from prefect_collect.connectors.buckets.page import Page, wrong_page
from prefect_collect.sources import ListingEnd

MOST_EMPTY_PAGES: Final = 10_000
"""Consecutive empty pages, each with a new token, after which a listing counts as making no progress.

S3 itself sends some where it skips deleted objects.
"""


@dataclass
class Progress:
    """The progress of a listing, to find one that repeats itself or never ends."""

    place: str
    pages: int = 0
    empty: int = 0
    stated: int | None = 0
    tokens: set[bytes] = field(default_factory=set)
    seen: set[bytes] = field(default_factory=set)

    def take(self, page: Page) -> None:
        """Count a page. Raise SourceError if its token, or its keys, were already on an earlier page."""
        self.pages += 1
        self.stated = None if page.stated is None or self.stated is None else self.stated + page.stated
        if page.entries:
            self.empty = 0
            named = (entry.key + b"\0" + entry.version.encode() for entry in page.entries)
            keys = blake2b(b"\0".join(named), digest_size=12).digest()
            if keys in self.seen:
                raise wrong_page(f"page {self.pages} has the same keys as an earlier one", self.place)
            self.seen.add(keys)
        else:
            self.empty += 1
        if page.token is None:
            return
        token = blake2b(ascii(page.token).encode(), digest_size=12).digest()
        if token in self.tokens:
            raise wrong_page(f"page {self.pages} leads back to an earlier one", self.place)
        self.tokens.add(token)
        if self.empty > MOST_EMPTY_PAGES:
            raise wrong_page(f"{self.empty:,} pages in a row are empty and say that there is more", self.place)

    def end(self, last: str = "says IsTruncated=false") -> ListingEnd:
        """Return the proof that the listing is complete, with what its last page says."""
        counts = "" if self.stated is None else ", and the KeyCount of every page agrees"
        return ListingEnd(f"page {self.pages} {last}{counts}", self.stated)
