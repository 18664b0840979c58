"""Background calls still run while the interpreter shuts down, when no thread can be started (Python 3.12)."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import atexit
from prefect_collect.threads.abandoned import abandonable
from prefect_collect.threads.pool import Pool, in_background

@abandonable
def answered():
    return "answered"

def at_exit():
    with Pool(2, "pool") as pool:
        print(in_background(str, 1).result(), answered(), *pool.map(str, range(3)))
        try:
            in_background(int, "x").result()
        except ValueError:
            print("raised")

atexit.register(at_exit)
"""


def test_threads_at_exit() -> None:
    """Calls made in an atexit handler return or raise as at any other time."""
    ran = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert (ran.stdout.split(), ran.stderr) == (["1", "answered", "0", "1", "2", "raised"], "")
