"""Tokens by which requests are signed: they are asked for now and then, and only while they are fresh are they used."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from prefect_collect.codes import CANCELED
from prefect_collect.connectors.object_store import signing
from prefect_collect.connectors.object_store.signing import Bearer
from prefect_collect.errors import SourceError
from prefect_collect.threads.pool import in_background
from prefect_collect.threads.stop import Stop, stopped_by


class Given:
    """Gives a new token each time, as soon as `gate` is set; `came` tells that the first one has been given."""

    def __init__(self) -> None:
        self.gate, self.came = threading.Event(), threading.Event()
        self.asked = 0

    def __call__(self) -> list[str]:
        """Return the header lines."""
        self.asked += 1
        assert self.gate.wait(60)
        self.came.set()
        return [f"Authorization: Bearer {self.asked}"]


def _signed(bearer: Bearer) -> str:
    [line] = bearer.signed("GET", "/", "", [])[1]
    return line.rpartition(" ")[2]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that lets seconds pass."""
    at = [1_000.0]
    monkeypatch.setattr(signing, "monotonic", lambda: at[0])

    def passed(seconds: float) -> None:
        at[0] += seconds

    return passed


def test_a_token_is_asked_for_again_after_a_while(clock: Callable[[float], None]) -> None:
    """Requests share a token for a minute."""
    given = Given()
    given.gate.set()
    bearer = Bearer(given, "gs://bucket")
    assert [_signed(bearer), _signed(bearer)] == ["1", "1"]
    clock(61)
    assert [_signed(bearer), _signed(bearer)] == ["2", "2"]


def test_a_token_that_came_after_a_cancel_is_not_kept(clock: Callable[[float], None]) -> None:
    """A job that is canceled does not wait for its token, and a later job of the process does not get that one."""
    given, stop = Given(), Stop()
    bearer = Bearer(given, "gs://bucket")
    stop.set(CANCELED)
    with stopped_by(stop), pytest.raises(SourceError, match="canceled before a token came"):
        bearer.signed("GET", "/", "", [])
    given.gate.set()
    assert given.came.wait(60)
    asked = bearer._asked
    assert asked is not None
    asked.result(60)
    clock(7200)
    assert _signed(bearer) == "2"


def test_a_token_is_asked_for_once_and_not_waited_for_after_a_cancel() -> None:
    """Requests that need a token at once wait for the same one; one of a canceled job ends before it comes."""
    given, stop = Given(), Stop()
    bearer = Bearer(given, "az://container")
    stop.set(CANCELED)
    with stopped_by(stop), pytest.raises(SourceError, match="canceled before a token came") as caught:
        bearer.signed("GET", "/", "", [])
    assert caught.value.code == "connection_lost"
    others = [in_background(bearer.signed, "GET", "/", "q", ["A: b"]) for _ in range(3)]
    given.gate.set()
    assert [other.result() for other in others] == [("q", ["A: b", "Authorization: Bearer 1"])] * 3
    assert given.asked == 1
