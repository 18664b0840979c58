"""What is searched for garbage while a job runs."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from prefect_collect.runs.garbage import new_garbage_only


class _Node:
    """An object that can refer to itself."""

    me: _Node


def _circle() -> weakref.ref[_Node]:
    node = _Node()
    node.me = node
    return weakref.ref(node)


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Have nothing frozen, as in a user's program."""
    was_frozen = gc.get_freeze_count()
    gc.unfreeze()
    yield
    if was_frozen:
        gc.freeze()


@pytest.mark.usefixtures("unfrozen")
def test_new_garbage_is_freed_and_old_garbage_later() -> None:
    """Garbage of the job is freed while it runs; what was garbage before is freed after the last job of the process."""
    gc.disable()
    old = _circle()
    gc.enable()
    with new_garbage_only():
        with new_garbage_only():
            new = _circle()
            gc.collect()
            assert (old() is None, new() is None) == (False, True)
        gc.collect()
        assert old() is not None
    gc.collect()
    assert old() is None
    assert not gc.get_freeze_count()


@pytest.mark.usefixtures("unfrozen")
def test_a_program_that_freezes_itself_is_left_alone() -> None:
    """What a program has frozen stays frozen."""
    gc.freeze()
    with new_garbage_only():
        pass
    assert gc.get_freeze_count()
    gc.unfreeze()
