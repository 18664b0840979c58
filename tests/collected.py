"""A process that has collected the tests: those of a parallel run are forks of it, and so import no module of tests.

`python -m tests.collected ARGUMENTS…` is given the socket at which forks are asked for as its standard input, and the
arguments of pytest. It is a fork itself, of what forks the programs of the tests and knows none (`tests.fork_server`).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Final

import pytest

from tests import forked, shim
from tests.fork_program import COLLECTED
from tests.fork_server import fork_at

_ALONE: Final = ("--collect-only", "--quiet", "-n0")


def python_for_workers(arguments: Sequence[str]) -> str:
    """Return the program that starts the processes of a parallel run with these `arguments` of pytest as forks.

    What forks programs for one of them forks programs for all.
    """
    python = forked.share()
    address = os.path.join(os.path.dirname(python), "collected")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(address)
        listening.listen(100)
        _started.append(forked.Popen([sys.executable, "-m", COLLECTED, *arguments], stdin=listening.fileno()))
    os.environ[shim.ASKED] = address
    return python


_started: Final[list[forked.Popen]] = []
"""What collects the tests runs on until this process ends."""


def _main() -> None:
    listening = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "w", encoding="utf-8") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
        pytest.main([*sys.argv[1:], *_ALONE])  # each fork says what it says
    fork_at(listening)


if __name__ == "__main__":
    _main()
