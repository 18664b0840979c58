"""Stands for Python, or a program of this environment, in a process whose work a fork of `tests.fork_server` does.

What the tests run in a shell, and what the programs of the tests start themselves (a worker its jobs, a command its
server, `serve` its fork server), starts this file instead: it hands its arguments, environment, folder and open files
to the process that forks, hands on the signals that it gets, and ends as the fork ends. If it is killed, the fork is.
What has to start as Python itself starts becomes Python: options of the interpreter, variables but those below.

It runs without `site`, as it starts some hundred times; so it imports nothing of the tests.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from typing import Final

ASKED: Final = "TESTS_FORKER"
"""The variable with the path of the socket at which forks are asked for."""

REAL: Final = "TESTS_PYTHON"
"""The variable with the path of Python itself, beside which the programs are."""

_VARIABLES: Final = {"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"}
"""Dask sets the last one, so that its workers hash alike: forks do."""
_HANDED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_NUMBER: Final = struct.Struct("=q")
_MOST_FDS: Final = 64


def _main() -> None:
    name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
    # `multiprocessing` hands PYTHONDONTWRITEBYTECODE on so; execnet's worker opens its streams anew.
    if words[:1] in (["-B"], ["-u"]):
        del words[0]
    real, asked = os.environ[REAL], os.environ.get(ASKED, "")
    program = [real] if name == "python" else [os.path.join(os.path.dirname(real), name)]
    plain = name != "python" or (words and (words[0] in ("-m", "-c") or not words[0].startswith("-")))
    others = [key for key in os.environ if key.startswith("PYTHON") and key not in _VARIABLES]
    fds = sorted(int(entry) for entry in os.listdir("/proc/self/fd"))
    fds = [fd for fd in fds if fd < 3 or _is_inherited(fd)]
    if not asked or not plain or others or len(fds) > _MOST_FDS:
        os.execv(program[0], [*program, *words])
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDED_ON)
    leads = os.getsid(0) == os.getpid()
    request = {
        "args": [*program, *words],
        "cwd": os.getcwd(),
        "env": dict(os.environ),
        "group": -1 if leads else 0,
        "session": leads,
        "numbers": fds,
        "blocked": sorted(map(int, blocked)),
    }
    described = os.memfd_create("request")
    os.write(described, repr(request).encode("utf-8", "surrogateescape"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as forks:
        forks.connect(asked)
        socket.send_fds(forks, [b"!"], [*fds, described])
        for fd in (*fds, described):
            os.close(fd)
        pid = _number(forks)
        for number in _HANDED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _: _send(pid, number))
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        status = _number(forks)
    if os.WIFSIGNALED(status):
        fatal = os.WTERMSIG(status)
        if fatal not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(fatal, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [fatal])
        os.kill(os.getpid(), fatal)
    os._exit(os.waitstatus_to_exitcode(status))


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:  # it has ended just now
        return


def _is_inherited(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # that of the listing itself
        return False


def _number(forks: socket.socket) -> int:
    data = forks.recv(_NUMBER.size)
    if len(data) < _NUMBER.size:
        sys.exit("The process that forks programs has ended")
    return int(_NUMBER.unpack(data)[0])


if __name__ == "__main__":
    _main()
