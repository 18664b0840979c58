"""Makes a fork of the tests' forking process a machine: a tree of processes, in a PID namespace if asked for.

`serve` starts its fork server as a new Python, which the tests' shim would make a process outside of the tree. Here it
is a fork of `serve` itself, which has imported all that it needs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from multiprocessing import forkserver, util
from typing import Any, Final

FORK_SERVER: Final = "fork server"
"""What ps(1) shows of the process that the jobs' processes are forks of, and of these."""

_NEWNS: Final = 0x00020000
_NEWUTS: Final = 0x04000000
_NEWPID: Final = 0x20000000
"""CLONE_NEW… of unshare(2)."""
_RECURSIVE: Final = 0x4000
_PRIVATE: Final = 1 << 18
"""MS_REC and MS_PRIVATE of mount(2)."""
_PDEATHSIG: Final = 1
_NAME: Final = 15
"""PR_SET_… of prctl(2)."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def start(host: str = "") -> None:
    """Have this process be the first of a machine; with a host name, its only child, in namespaces of its own."""
    if host:
        _require(_libc.unshare(_NEWNS | _NEWUTS | _NEWPID))
        if pid := os.fork():
            os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
        _require(_libc.prctl(_PDEATHSIG, signal.SIGKILL))
        _require(_libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None))
        _require(_libc.mount(b"proc", b"/proc", b"proc", 0, None))
        socket.sethostname(host)
    starter: Any = util
    starter.spawnv_passfds = _forked


def _forked(path: str, args: list[str], fds: Iterable[int]) -> int:
    """Fork in place of `multiprocessing.util.spawnv_passfds`, which starts ``python -c PROGRAM`` with these files."""
    del path
    if pid := os.fork():
        return pid
    try:
        _become(args[-1], sorted({0, 1, 2, *fds}))
        exec(args[-1], {"__name__": "__main__"})
    finally:
        os._exit(0)


def _become(program: str, fds: list[int]) -> None:
    """Have only what a new process would have: these open files, no handlers of signals, no locks that are held."""
    for before, after in zip(fds, [*fds[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(before + 1, after)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    ours: Any = forkserver
    ours._forkserver._lock = threading.Lock()
    if "forkserver" in program:
        _libc.prctl(_NAME, FORK_SERVER.encode())


def _require(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        sys.exit(f"A machine cannot be made: {os.strerror(number)}")
