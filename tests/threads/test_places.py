"""Places for so many threads at once."""

from __future__ import annotations

import threading

from prefect_collect.threads.places import Places


def test_who_waits_is_not_passed_over() -> None:
    """A thread that gives its place back gets it again after all that waited, who get it in their order."""
    places, order = Places(1), list[str]()
    looks = threading.Event()

    def ask(name: str) -> None:
        with places:
            order.append(name)

    threads = [threading.Thread(target=ask, args=(name,)) for name in "bcd"]
    with places:
        for number, thread in enumerate(threads, 1):
            thread.start()
            while places.waiting < number:
                looks.wait(0.001)
    ask("a")
    for thread in threads:
        thread.join()
    assert order == [*"bcda"]
    assert not places.waiting


def test_as_many_at_once_as_there_are_places() -> None:
    """Who asks while there is a place gets one at once; an error in the block gives it back."""
    places = Places(2)
    for _ in range(3):
        with places, places:
            assert not places.waiting
        try:
            with places:
                raise KeyError
        except KeyError:
            pass
    both, order = threading.Barrier(2), list[str]()

    def meet() -> None:
        with places:
            order.append("in")
            both.wait(60)

    threads = [threading.Thread(target=meet) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == ["in"] * 4
