"""Running one function over many items in a bounded number of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

from prefect_collect.background import Pool

T = TypeVar("T")
R = TypeVar("R")


def as_completed(call: Callable[[T], R], items: Iterable[T], concurrency: int) -> Iterator[tuple[T, R | Exception]]:
    """`call(item)` for every item, at most `concurrency` at once, as they end, each with its result or exception.

    An item is taken from `items` only when a thread is free for it. Closing the iterator waits for what is running.
    """
    waiting = iter(items)
    running: dict[Future[R], T] = {}
    with Pool(concurrency, "read", waits_always=True) as pool:
        while True:
            while len(running) < concurrency:
                try:
                    item = next(waiting)
                except StopIteration:
                    break
                running[pool.submit(call, item)] = item
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                item = running.pop(future)
                error = future.exception()
                if error is None:
                    yield item, future.result()
                elif isinstance(error, Exception):
                    yield item, error
                else:
                    raise error
