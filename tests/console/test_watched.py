"""What several browsers watch is computed once for all of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from prefect_collect.console import watched
from prefect_collect.console.job_index import LOOK_EVERY
from prefect_collect.console.watched import FRESH, Fragments, Watched
from prefect_collect.errors import JobNotFound


@pytest.fixture(autouse=True)
def _no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute without Prefect's client, for which Prefect would start a server."""
    monkeypatch.setattr(watched, "_one_client", nullcontext)


def test_all_who_watch_share_one_computation() -> None:
    """Twenty who ask at the same time get one value of each key; it is computed again when it is too old, or for who
    wants it as it is now, which those who watch then see, too.
    """
    computed: list[str] = []
    time = [0.0]
    together = threading.Barrier(20)

    def compute(key: str) -> tuple[str, int]:
        computed.append(key)
        return key, len(computed)

    values = Watched(compute, clock=lambda: time[0])

    def ask(number: int) -> tuple[str, int]:
        together.wait()
        return values.recent("ab"[number % 2])

    with ThreadPoolExecutor(20) as pool:
        found = {*pool.map(ask, range(20))}
    assert sorted(computed) == ["a", "b"]
    assert len(found) == 2
    time[0] = LOOK_EVERY - 0.01
    assert values.recent("a") in found
    assert values.now("a") == ("a", 3)
    assert values.recent("a") == ("a", 3)
    time[0] += LOOK_EVERY
    assert values.recent("a") == ("a", 4)
    time[0] += FRESH - 0.01
    assert values.fresh("a") == ("a", 4)
    time[0] += 0.02
    assert values.fresh("a") == ("a", 5)


def test_an_error_is_raised_to_all_who_watch() -> None:
    """What cannot be read is not read anew for each who watches, and is read again a moment later."""
    time, tries = [0.0], [0]

    def compute(key: str) -> int:
        tries[0] += 1
        if tries[0] == 1:
            raise JobNotFound("gone")
        return tries[0]

    values = Watched(compute, clock=lambda: time[0])
    for _ in range(3):
        with pytest.raises(JobNotFound):
            values.recent("a")
    assert tries == [1]
    time[0] = LOOK_EVERY
    assert values.recent("a") == 2


def test_a_fragment_is_rendered_when_it_shows_something_else() -> None:
    """The same object is rendered once for each key; an equal but newer one again, to the same digest."""
    fragments, rendered = Fragments(), list[str]()

    def render() -> str:
        rendered.append("x")
        return "<p>\ud800</p>"

    first, second = ({"a": 1},), ({"a": 1},)
    shown = [
        fragments.of(key, shows, render) for key, shows in (("k", first), ("k", first), ("l", first), ("k", second))
    ]
    assert len(rendered) == 3
    assert len({one.digest for one in shown}) == 1
    for number in range(100):
        fragments.of(str(number), first, render)
    assert len(rendered) == 103
    assert fragments.of("99", first, render).content == "<p>\ud800</p>"
    assert len(rendered) == 103
