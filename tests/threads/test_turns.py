"""Threads work through small items in turns, but never depend on each other for them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from prefect_collect.threads.pool import in_background
from prefect_collect.threads.turns import Turn, in_turns, while_waiting


def test_the_turn_is_handed_over_to_the_thread_that_waited_longest() -> None:
    """Who waits has it as soon as its holder gives it."""
    turn = Turn(patience=60)
    first = turn.take()
    waiting = in_background(turn.take)
    while not turn.is_wanted:
        os.sched_yield()
    turn.give(first)
    second = waiting.result(60)
    assert 0 < first < second
    assert Turn(patience=0).take() == 1


def test_a_thread_whose_patience_ends_goes_on_without_the_turn() -> None:
    """It is told so by the number 0, and is not handed the turn later."""
    turn = Turn(patience=0)
    number = turn.take()
    assert in_background(turn.take).result(60) == 0
    assert not turn.is_wanted
    turn.give(number)
    assert turn.take()


def test_a_turn_is_taken_from_a_thread_that_hangs() -> None:
    """What the thread gives back later is no longer its turn."""
    turn = Turn(patience=0, lost=0)
    hanging = turn.take()
    while not (now := turn.take()):
        pass
    turn.give(hanging)
    turn.give(now)
    assert turn.take() == now + 1


def test_no_thread_depends_on_the_turn_of_another() -> None:
    """While one is within its turn, and waits for the others in it, they work through all of their items."""
    done = threading.Event()
    others = in_background(lambda: (list(in_turns(range(100))), done.set()))
    for number in in_turns(range(2)):
        if number:
            with while_waiting():
                assert done.wait(60)
        else:
            assert others.result(60)


def test_items_and_errors_pass_through() -> None:
    """An error of what yields the items is raised as it is, and the turn is free then."""

    def items() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    given = in_turns(items())
    assert next(given) == 1
    with pytest.raises(ZeroDivisionError):
        next(given)
    assert in_background(lambda: list(in_turns([2]))).result(60) == [2]
