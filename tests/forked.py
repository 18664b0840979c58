"""Python programs of the tests, started as forks of a process that has imported Prefect and prefect-collect.

`Popen` has the arguments of `subprocess.Popen`, for ``[sys.executable, …]`` and for installed Python scripts. It saves
the seconds of processor time that the imports take: a process that has imported them (`tests.fork_server`, one for all
processes of the tests) forks, and the fork gets the standard streams, environment, folder and arguments
(`tests.fork_program`). The fork reacts to SIGINT, and ends when the process that asked for it ends. Use `subprocess`
for programs that need options of the interpreter, or PYTHON… variables other than PYTHONPATH.

The processes of a parallel run are forks too, of one that has collected the tests: see `tests.collected`.

With `environment` a shell, and with `asking` the programs themselves, start forks too: see `tests.shim`.
"""

from __future__ import annotations

import atexit
import os
import select
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests import shim
from tests.fork_server import NUMBER

_ROOT: Final = Path(__file__).parents[1]
_SHIM: Final = _ROOT / "tests" / "shim.py"
_SHARED: Final = "TESTS_FORKS"
"""The variable with the folder of the process that has started what forks for this one too."""

_PROGRAMS: Final = ("python", "prefect", "prefect-collect")


class Popen(subprocess.Popen):  # type: ignore[type-arg]
    """A Python program in a process of its own, with the interface of `subprocess.Popen`.

    It replaces methods of that class that typeshed leaves out.
    """

    def _execute_child(self, args: Any, *rest: Any) -> None:
        (_executable, _preexec, _close, _pass, cwd, env, _info, _flags, _shell, p2cread, p2cwrite, c2pread, c2pwrite,
         errread, errwrite, _restore, _gid, _gids, _uid, _umask, new_session, group) = rest  # fmt: skip
        request = {
            "args": [os.fspath(arg) for arg in args],
            "cwd": os.fspath(cwd) if cwd is not None else os.getcwd(),
            "env": dict(os.environ if env is None else env),
            "group": group,
            "session": bool(new_session),
            "numbers": [0, 1, 2],
            "blocked": [],
        }
        described = os.memfd_create("request")
        os.write(described, repr(request).encode("utf-8", "surrogateescape"))
        self._status = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = [p2cread if p2cread != -1 else 0, c2pwrite if c2pwrite != -1 else 1, errwrite if errwrite != -1 else 2]
        try:
            self._status.connect(_asked())
            socket.send_fds(self._status, [b"!"], [*fds, described])
        finally:
            os.close(described)
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]
        self.pid = self._number()
        self._child_created = True

    def _number(self) -> int:
        data = self._status.recv(NUMBER.size)
        if len(data) < NUMBER.size:
            raise RuntimeError(f"The process that forks programs has ended [args={self.args!r}]")
        return int(NUMBER.unpack(data)[0])

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if wait_flags & os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
            return 0, 0
        return self.pid, self._number()

    def _internal_poll(self, _deadstate: int | None = None, *_: Any) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid == self.pid:
                self._handle_exitstatus(status)  # type: ignore[attr-defined]
        return self.returncode

    def __del__(self, *_: Any) -> None:
        if self._child_created and self.returncode is None:
            _unfinished.append(self._status)  # when it is closed, the fork is killed
        elif self._child_created:
            self._status.close()


def run(
    args: list[Any], *, check: bool = False, capture_output: bool = False, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run` with `Popen`."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    timeout, given = options.pop("timeout", None), options.pop("input", None)
    if given is not None:
        options["stdin"] = subprocess.PIPE
    with Popen(args, **options) as process:
        try:
            out, err = process.communicate(given, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def asking() -> dict[str, str]:
    """What has the programs that a fork starts, which have these variables, be forks too, where they are Python's."""
    return {shim.ASKED: _asked(), shim.REAL: sys.executable}


def share(*, start: bool = True) -> str:
    """Have what forks for this process fork for those that it starts too; return their program for Python.

    Without `start`, nothing is started that forks: the caller has something listen at the address in `asking`.
    """
    folder = str(_folder())
    if not start:
        os.environ[_SHARED] = folder
    os.environ.update({**asking(), _SHARED: folder})
    return os.path.join(folder, "bin", "python")


def environment() -> dict[str, str]:
    """What has a shell, and all that is started from there, start forks instead of Python and the programs here."""
    path = os.pathsep.join((str(_folder() / "bin"), sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
    return {**asking(), "PATH": path}


@cache
def _folder() -> Path:
    """The programs that ask for forks, and the socket at which they do."""
    if shared := os.environ.get(_SHARED):
        return Path(shared)
    folder = Path(tempfile.mkdtemp(prefix="prefect-collect-forks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "bin").mkdir()
    text = _SHIM.read_text(encoding="utf-8")
    for name in _PROGRAMS:
        program = folder / "bin" / name
        program.write_text(f"#!{sys.executable} -IS\n{text}", encoding="utf-8")
        program.chmod(0o755)
    return folder


_unfinished: Final[list[socket.socket]] = []
"""The sockets of forks that run on after nothing here refers to them."""


@cache
def _asked() -> str:
    """Return the path of the socket at which forks are asked for.

    The first call starts what forks, if none is shared; it ends when this process does.
    """
    path = str(_folder() / "socket")
    if _SHARED not in os.environ:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(path)
            listening.listen(100)
            _start(ours, theirs, listening)
    return path


def _start(ours: socket.socket, theirs: socket.socket, listening: socket.socket) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTEST_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fork_server", str(theirs.fileno()), str(listening.fileno())], cwd=_ROOT,
        pass_fds=[theirs.fileno(), listening.fileno()],
        stdin=subprocess.DEVNULL, env={**environment, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"},
    )  # fmt: skip
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
