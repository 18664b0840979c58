"""A process that has collected the tests: those of a parallel run are forks of it, and so import no module of tests.

`python -m tests.collected SOCKET ARGUMENTS…` is given the socket at which forks are asked for as its standard input,
one that is closed when the tests end, and the arguments of pytest. While it collects, the process that forks the
programs of the tests and knows none (`tests.fork_server`) imports what these need. The few programs of a quick run are
forks of this process too: importing for them alone would take 3 s.
"""

from __future__ import annotations

import atexit
import gc
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests import forked, shim
from tests.examples import QUICK
from tests.fork_server import fork_at, path_of_programs

_ALONE: Final = ("--collect-only", "-qq", "-n0", "--capture=no")


def python_for_workers(arguments: Sequence[str]) -> str:
    """Return the program that starts the processes of a parallel run with these `arguments` of pytest as forks.

    What forks programs for one of them forks programs for all.
    """
    python = forked.share(start=not QUICK)
    address = forked.asking()[shim.ASKED] if QUICK else os.path.join(os.path.dirname(python), "collected")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(address)
        listening.listen(100)
        path = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.collected", str(theirs.fileno()), *arguments], stdin=listening.fileno(),
            pass_fds=[theirs.fileno()], env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        )  # fmt: skip
    atexit.register(ours.close)
    atexit.register(process.wait)
    atexit.register(process.kill)
    os.environ[shim.ASKED] = address
    return python


def _main() -> None:
    path = path_of_programs()
    listening, tests = socket.socket(fileno=os.dup(0)), socket.socket(fileno=int(sys.argv[1]))
    gc.disable()  # what is imported stays
    with _silence():
        pytest.main([*sys.argv[2:], *_ALONE])  # each fork says what it says
    gc.enable()
    fork_at(listening, tests, path)


@contextmanager
def _silence() -> Iterator[None]:
    """Have what is written to the standard streams go nowhere; those who hold these streams write to them later."""
    kept = {number: os.dup(number) for number in (1, 2)}
    with open(os.devnull, "wb") as nothing:
        for number in kept:
            os.dup2(nothing.fileno(), number)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, before in kept.items():
            os.dup2(before, number)
            os.close(before)


if __name__ == "__main__":
    _main()
