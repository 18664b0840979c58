"""What several browsers watch is computed once for all of them, however many there are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from operator import is_
from time import monotonic
from typing import Final, Generic, TypeVar

from prefect.context import SyncClientContext

from prefect_collect.console.job_index import LOOK_EVERY
from prefect_collect.console.recent import Recent

V = TypeVar("V")

FRESH: Final = 0.5
"""Seconds for which a value is shown as it is to a user who asks for it."""

_MOST_VALUES: Final = 200
_MOST_FRAGMENTS: Final = 50
"""Each keeps what it shows in memory, such as the rows of all jobs."""


@contextmanager
def _one_client() -> Iterator[None]:
    """Within this context, all calls of Prefect share a client: to make one costs more than its requests."""
    with ExitStack() as stack:
        with suppress(Exception):  # the calls raise what keeps Prefect from answering
            stack.enter_context(SyncClientContext.get_or_create())
        yield


@dataclass
class _Kept(Generic[V]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    at: float = float("-inf")
    value: V | None = None
    error: Exception | None = None


class Watched(Generic[V]):
    """Values by key, each computed again when it is older than `LOOK_EVERY`; used by several threads.

    Those who ask at the same time wait for one computation, and an error is raised to all of them.
    """

    def __init__(self, compute: Callable[[str], V], *, clock: Callable[[], float] = monotonic) -> None:
        self._compute, self._clock = compute, clock
        self._lock = threading.Lock()
        self._known: Recent[str, _Kept[V]] = Recent(_MOST_VALUES)

    def recent(self, key: str) -> V:
        """Return a value that is at most `LOOK_EVERY` seconds old. Raise what its computation raised."""
        return self._of(key, LOOK_EVERY)

    def fresh(self, key: str) -> V:
        """Return a value that is at most `FRESH` seconds old, as for a user who clicks: many may click at once."""
        return self._of(key, FRESH)

    def now(self, key: str) -> V:
        """Return the value as it is now, also to those who watch."""
        return self._of(key, 0.0)

    def _of(self, key: str, age: float) -> V:
        with self._lock:
            kept = self._known.of(key, _Kept)
        with kept.lock:
            if self._clock() - kept.at >= age:
                kept.value = kept.error = None
                try:
                    with _one_client():
                        kept.value = self._compute(key)
                except Exception as error:
                    kept.error = error
                kept.at = self._clock()
            if kept.error is not None:
                raise kept.error
            value: V = kept.value  # type: ignore[assignment]
            return value


@dataclass(frozen=True)
class Fragment:
    """A part of a page.

    Attributes:
        shows: The objects that it shows.
        content: Its HTML.
        digest: What tells it from another one.
    """

    shows: tuple[object, ...]
    content: str
    digest: str


class Fragments:
    """The parts of pages that were rendered last, by key; a part is rendered again when it shows other objects."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: Recent[str, Fragment] = Recent(_MOST_FRAGMENTS)

    def of(self, key: str, shows: tuple[object, ...], render: Callable[[], str]) -> Fragment:
        """Return the fragment of that key that shows these very objects, whose number is fixed for each key."""
        with self._lock:
            known = self._known.get(key)
        if known is not None and all(map(is_, known.shows, shows)):
            return known
        content = render()
        made = Fragment(shows, content, sha256(content.encode("utf-8", "replace")).hexdigest()[:16])
        with self._lock:
            self._known.put(key, made)
        return made
