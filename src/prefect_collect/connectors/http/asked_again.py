"""What is to be asked for, with what a server that has too many requests is asked for again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Generic, TypeVar

from prefect_collect.connectors.http.engine import Answer, curl_error
from prefect_collect.connectors.http.fetcher import Fetcher
from prefect_collect.connectors.http.pace import RETRY_AFTER, Pace
from prefect_collect.connectors.http.stream import Stream
from prefect_collect.errors import SourceError
from prefect_collect.threads.stop import current_stop

R = TypeVar("R")
T = TypeVar("T")


class AskedAgain(Generic[T]):
    """The waiting requests: before the next of `waiting`, those that were put back by `again`.

    It can be iterated again after its end, for what was put back since; it is true while there is more.
    """

    def __init__(self, waiting: Iterable[T]) -> None:
        self._waiting = iter(waiting)
        self._again: deque[T] = deque()
        self._is_done = False

    def __iter__(self) -> Iterator[T]:
        while True:
            if self._again:
                yield self._again.popleft()
                continue
            try:
                following = next(self._waiting)
            except StopIteration:
                self._is_done = True
                return
            yield following

    def __bool__(self) -> bool:
        return not self._is_done or bool(self._again)

    def again(self, request: T) -> None:
        """Put a request back, which is the next one then."""
        self._again.append(request)


def all_answers(
    fetcher: Fetcher,
    asked: AskedAgain[T],
    concurrency: int,
    *,
    prepare: Callable[[T], tuple[str, list[str]]],
    size: Callable[[T], int],
    pace: Pace,
    listing: bool = False,
) -> Iterator[tuple[T, Answer | SourceError]]:
    """Yield the answers as they arrive (`Fetcher.fetch`), also of what is put back meanwhile."""
    while asked and not current_stop().canceled:
        yield from fetcher.fetch(asked, concurrency, prepare=prepare, size=size, pace=pace, listing=listing)


def answers_of(
    fetcher: Fetcher,
    waiting: Iterable[T],
    concurrency: int,
    *,
    prepare: Callable[[T], tuple[str, list[str]]],
    wanted: frozenset[bytes],
    whole: Callable[[dict[bytes, str], list[bytes], T], R],
    refused: Callable[[int, dict[bytes, str], bytes, str], SourceError],
    size: Callable[[T], int],
    place: Callable[[T], str],
    pace: Pace,
) -> Iterator[tuple[T, R | SourceError]]:
    """Yield what `whole` makes of the successes, in the order of arrival, or the errors of the others.

    Args:
        fetcher: What sends the requests.
        waiting: What is asked for.
        concurrency: The most requests at once.
        prepare: Returns the URL and the header lines of a request.
        wanted: The response headers to give, `RETRY_AFTER` among them.
        whole: Returns what the headers and the body of a success are made into.
        refused: Returns the error of another status, its headers and its body, at a place.
        size: Returns the bytes that an answer is expected to bring.
        place: Returns where a request leads, for messages.
        pace: The pace of the server.
    """
    asked = AskedAgain(waiting)
    for one, answer in all_answers(fetcher, asked, concurrency, prepare=prepare, size=size, pace=pace):
        if isinstance(answer, SourceError):
            yield one, answer
            continue
        status, headers = answer.head(wanted)
        if answer.error is not None and status in (0, 200):
            yield one, curl_error(*answer.error, place(one))
        elif pace.answered(status, headers):
            asked.again(one)
        elif status != 200:  # The status is enough, even if the error's body broke off or has no end.
            yield one, refused(status, headers, b"".join(answer.body), place(one))
        else:
            yield one, whole(headers, answer.body, one)


@contextmanager
def paced(
    pace: Pace, make: Callable[[], Stream], wanted: frozenset[bytes]
) -> Iterator[tuple[Stream, int, dict[bytes, str]]]:
    """Send a request at the server's pace, again after each pause that it states; give its answer's begin.

    The request counts as under way until its answer begins, not until its bytes are read: whoever reads them may wait
    for other requests of the same source, as a listing waits for the items that it has found.
    Raise the SourceError of a request that has no answer, and JobCanceled.

    Args:
        pace: The pace of the server.
        make: Sends the request.
        wanted: The response headers to give.
    """
    while True:
        with ExitStack() as under_way:
            under_way.enter_context(pace.request())
            with closing(make()) as stream:
                status, headers = stream.begin(wanted | {RETRY_AFTER})
                is_asked_again = pace.answered(status, headers)
                under_way.close()
                if not is_asked_again:
                    yield stream, status, headers
                    return
