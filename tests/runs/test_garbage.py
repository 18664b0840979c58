"""What is searched for garbage while a job runs: in a new process, as that of the tests has frozen its objects."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

_BOTH: Final = """
import gc, weakref
from prefect_collect.runs.garbage import new_garbage_only

class Node:
    pass

def circle():
    node = Node()
    node.me = node
    return weakref.ref(node)

"""


def _run(program: str) -> None:
    subprocess.run([sys.executable, "-c", _BOTH + program], check=True)


def test_new_garbage_is_freed_and_old_garbage_later() -> None:
    """Garbage of the job is freed while it runs; what was garbage before is freed after the last job of the process."""
    _run("""
gc.collect()  # so that no search is due when they are on again
gc.disable()
old = circle()
gc.enable()
with new_garbage_only():
    with new_garbage_only():
        new = circle()
        gc.collect()
        assert (old() is None, new() is None) == (False, True)
    gc.collect()
    assert old() is not None
gc.collect()
assert old() is None
assert not gc.get_freeze_count()
""")


def test_a_program_that_freezes_itself_is_left_alone() -> None:
    """What a program has frozen stays frozen."""
    _run("""
gc.freeze()
with new_garbage_only():
    pass
assert gc.get_freeze_count()
""")
