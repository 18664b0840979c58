"""Many small GETs of one source at once: redirects followed, pauses kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from prefect_collect.connectors.http.asked_again import AskedAgain, all_answers
from prefect_collect.connectors.http.client import REDIRECTS, WANTED, Client, Head, Target, refusal
from prefect_collect.connectors.http.engine import Answer, curl_error
from prefect_collect.connectors.http.fetcher import Fetcher
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, expected_bytes

T = TypeVar("T")


@dataclass(slots=True)
class _Ask:
    """An item that is asked for, at the URL that a redirect may have led to."""

    item: Item
    target: Target | None = None
    url: str = ""
    hops: int = 0


class Many(Generic[T]):
    """One pass over the items.

    Args:
        client: The source's client.
        fetcher: What sends the requests; of the client's limits.
        target_of: Returns what to ask for; raises SourceError.
        whole: Returns what a success is made into, of its head and its body; raises SourceError.
        size: Returns the bytes that an answer is expected to bring.
        alone: Reads an item that a redirect leads to where the client's limits are others, so that the fetcher must
            not ask there; None for a client with the same limits everywhere.
        is_listing: Whether these requests are part of a listing (`Pace.try_begin`).
    """

    def __init__(
        self,
        client: Client,
        fetcher: Fetcher,
        *,
        target_of: Callable[[Item], Target],
        whole: Callable[[Item, Head, list[bytes]], T],
        size: Callable[[Item], int] = expected_bytes,
        alone: Callable[[Item], T | Exception] | None = None,
        is_listing: bool = False,
    ) -> None:
        self._client, self._fetcher = client, fetcher
        self._target_of, self._whole, self._size, self._alone = target_of, whole, size, alone
        self._is_listing = is_listing
        self._elsewhere: list[Item] = []

    def read(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, T | Exception]]:
        """Yield each item with what `whole` made of its answer, or its error, in the order of arrival."""
        asked = AskedAgain(map(_Ask, items))
        for ask, answer in all_answers(
            self._fetcher,
            asked,
            concurrency,
            prepare=self._prepare,
            size=lambda ask: self._size(ask.item),
            pace=self._client.pace,
            listing=self._is_listing,
        ):
            if isinstance(answer, SourceError):
                yield ask.item, answer
            elif (got := self._got(asked, ask, answer)) is not None:
                yield ask.item, got
        if self._alone is not None:
            for item in self._elsewhere:  # when no request is under way here, as each waits for its turn
                yield item, self._alone(item)

    def _prepare(self, ask: _Ask) -> tuple[str, list[str]]:
        if ask.target is None:
            ask.target = self._target_of(ask.item)
            ask.url = ask.target.url
            self._client.require_allowed(ask.target, ask.url)
        return ask.url, ask.target.lines(ask.url)

    def _got(self, asked: AskedAgain[_Ask], ask: _Ask, answer: Answer) -> T | Exception | None:
        """Return what an answer is made into, or its error; None if the item is asked for again."""
        assert ask.target is not None
        head = Head(*answer.head(WANTED), ask.url)
        if answer.error is not None and head.status in (0, 200, 401):  # 401: maybe half of a challenge and response
            return self._client.explained(curl_error(*answer.error, ask.target.place), ask.target, ask.url)
        try:
            if head.status in REDIRECTS:
                ask.url, ask.hops = self._client.followed(ask.target, head, ask.hops), ask.hops + 1
                if self._alone is not None and self._client.limits(ask.target, ask.url) is not self._client.home:
                    self._elsewhere.append(ask.item)
                    return None
                asked.again(ask)
                return None
            if self._client.ask_again(head):
                ask.url, ask.hops = ask.target.url, 0
                asked.again(ask)
                return None
            if head.status != 200:
                return refusal(head, ask.target, b"".join(answer.body))
            return self._whole(ask.item, head, answer.body)
        except SourceError as error:
            return error
