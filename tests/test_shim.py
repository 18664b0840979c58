"""What stands for Python in the programs that the tests' programs start: `tests.shim`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import shim
from tests.fork_server import NUMBER


@pytest.mark.parametrize("fatal", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_dies_as_its_fork_did(fatal: signal.Signals, tmp_path: Path) -> None:
    """Who started a program whose fork died by a signal sees that signal, and no exit code."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(tmp_path / "forker"))
        listening.listen(1)
        program = subprocess.Popen(
            [sys.executable, "-I", shim.__file__, "-c", "pass"],
            env={shim.ASKED: str(tmp_path / "forker"), shim.REAL: sys.executable, "PATH": os.environ["PATH"]},
        )
        connection, _ = listening.accept()
        with connection:
            socket.recv_fds(connection, 1, 80)
            connection.send(NUMBER.pack(dead.pid))
            connection.send(NUMBER.pack(fatal))
            assert program.wait() == -fatal
