"""Read lists from Prefect's server page by page."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Final, Protocol, TypeVar

PAGE: Final = 200
"""The most rows that Prefect's server returns for one request by default."""


class _Identified(Protocol):
    @property
    def id(self) -> Hashable: ...


T = TypeVar("T", bound=_Identified)


def paged(read: Callable[[int, int], list[T]]) -> Iterator[T]:
    """Yield all that `read(limit, offset)` returns, page by page, each object once."""
    offset, before = 0, set[Hashable]()
    while True:
        page = read(PAGE, offset)
        # Objects that are created meanwhile push the last ones of this page onto the next.
        yield from (one for one in page if one.id not in before)
        before = {one.id for one in page}
        if len(page) < PAGE:
            return
        offset += PAGE
