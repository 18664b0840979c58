"""Python programs of the tests, started as forks of a process that has imported Prefect and prefect-collect.

`Popen` has the arguments of `subprocess.Popen`, for ``[sys.executable, …]`` and for installed Python scripts. It saves
the seconds of processor time that the imports take: a process that has imported them (`python -m tests.forked`, one for
each process of the tests) forks, and the fork gets the standard streams, environment, folder and arguments. The fork
reacts to SIGINT, and ends when the tests end. Use `subprocess` for programs that need options of the interpreter, or
PYTHON… variables other than PYTHONPATH.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[1]
_PRELOADED: Final = [
    "pandas",
    "prefect.cli.server",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.server.api.server",
    "prefect.task_engine",
    "prefect_collect.cli",
    "prefect_collect.deployments.serving",
    "prefect_collect.flows.collection",
    "prefect_collect.flows.exports",
    "prefect_collect.flows.recovery",
]
_NUMBER: Final = struct.Struct("=q")
_PDEATHSIG: Final = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
_FDS: Final = 5


class Popen(subprocess.Popen):  # type: ignore[type-arg]
    """A Python program in a process of its own, with the interface of `subprocess.Popen`."""

    _status: int = -1

    def _execute_child(self, args: Any, *rest: Any) -> None:
        (_executable, _preexec, _close, _pass, cwd, env, _info, _flags, _shell, p2cread, p2cwrite, c2pread, c2pwrite,
         errread, errwrite, _restore, _gid, _gids, _uid, _umask, new_session, group) = rest  # fmt: skip
        request = {
            "args": [os.fspath(arg) for arg in args],
            "cwd": os.fspath(cwd) if cwd is not None else os.getcwd(),
            "env": dict(os.environ if env is None else env),
            "group": group,
            "session": bool(new_session),
        }
        described = os.memfd_create("request")
        os.write(described, json.dumps(request).encode())
        self._status, reporting = os.pipe()
        fds = [p2cread if p2cread != -1 else 0, c2pwrite if c2pwrite != -1 else 1, errwrite if errwrite != -1 else 2]
        try:
            with _sending:
                socket.send_fds(_forking(), [b"!"], [*fds, described, reporting])
        finally:
            os.close(described)
            os.close(reporting)
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)
        self.pid = self._number()
        self._child_created = True

    def _number(self) -> int:
        data = os.read(self._status, _NUMBER.size)
        if len(data) < _NUMBER.size:
            raise RuntimeError(f"The process that forks programs has ended [args={self.args}]")
        return int(_NUMBER.unpack(data)[0])

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if wait_flags & os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
            return 0, 0
        return self.pid, self._number()

    def _internal_poll(self, _deadstate: int | None = None, *_: Any) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid == self.pid:
                self._handle_exitstatus(status)
        return self.returncode

    def __del__(self, *_: Any) -> None:
        if self._status != -1:
            with suppress(OSError):
                os.close(self._status)
            self._status = -1


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


_sending = threading.Lock()


@cache
def _forking() -> socket.socket:
    """Return the socket to the process that forks; start it at the first call. It ends when our end is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTEST_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forked", str(theirs.fileno())], cwd=_ROOT, pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL, env={**environment, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"},
    )  # fmt: skip
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _forks(asked: socket.socket) -> dict[str, Any]:
    """Fork for each request until the socket is closed; in a fork, return its request."""
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    reports: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asked, waking], [], [])
        if waking in ready:
            os.read(waking, 4096)
            _report(reports)
        if asked not in ready:
            continue
        data, fds, _, _ = socket.recv_fds(asked, 1, _FDS)
        if not data:
            os._exit(0)
        *_, described, reporting = fds
        size = os.fstat(described).st_size
        request: dict[str, Any] = json.loads(os.pread(described, size, 0))
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (asked.fileno(), waking, woken, described, *reports.values()):
                os.close(number)
            asked.detach()
            return request | {"fds": fds[:3], "reporting": reporting}
        if request["group"] == 0:
            with suppress(OSError):
                os.setpgid(pid, pid)
        for fd in (*fds[:3], described):
            os.close(fd)
        reports[pid] = reporting
        os.write(reporting, _NUMBER.pack(pid))


def _report(reports: dict[int, int]) -> None:
    while reports:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with suppress(OSError):  # nobody waits for it any more
            os.write(reports[pid], _NUMBER.pack(status))
        os.close(reports.pop(pid))


def _take_over(request: dict[str, Any]) -> None:
    """Turn this fork into the requested process."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    if request["session"]:
        os.setsid()
    elif request["group"] == 0:
        with suppress(OSError):
            os.setpgid(0, 0)
    for number, fd in enumerate(request["fds"]):
        os.dup2(fd, number)
    for fd in {*request["fds"], request["reporting"]} - {0, 1, 2}:
        os.close(fd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Those of the forking process know whether its own can be sought in.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])


def _prepare(args: list[str], path: list[str]) -> None:
    """Have Prefect read the settings of this process, and know the plugins on its path, as if imported only now.

    The command sets some of Prefect's settings before it imports Prefect.
    """
    import prefect.plugins
    from prefect.context import refresh_global_settings_context
    from prefect.logging.configuration import setup_logging

    from prefect_collect.cli import _server, _serving

    if Path(args[0]).name == "prefect-collect":
        for name, value in (_serving._SETTINGS if "serve" in args else _server._QUIET).items():
            os.environ.setdefault(name, value)
    added = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    sys.path[:] = ["", *added, *path]
    refresh_global_settings_context()
    setup_logging(incremental=False)
    if any(True for folder in added for _ in Path(folder).glob("*.dist-info")):
        importlib.invalidate_caches()
        prefect.plugins.COLLECTIONS = None
        prefect.plugins.load_prefect_collections()


def _run(args: list[str]) -> None:
    if args[0] != sys.executable:
        program, rest = args[0], args[1:]
    elif args[1] == "-m":
        sys.argv = args[2:]
        runpy.run_module(args[2], run_name="__main__", alter_sys=True)
        return
    elif args[1] == "-c":
        sys.argv = ["-c", *args[3:]]
        exec(compile(args[2], "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
        return
    else:
        program, rest = args[1], args[2:]
    sys.argv = [program, *rest]
    sys.path[0] = str(Path(program).resolve().parent)
    runpy.run_path(program, run_name="__main__")


def _main() -> None:
    path = [entry for entry in sys.path if entry not in ("", str(_ROOT))]
    for name in _PRELOADED:
        importlib.import_module(name)
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()
    request = _forks(socket.socket(fileno=int(sys.argv[1])))
    _take_over(request)
    _prepare(request["args"], path)
    _exit(_ended(request["args"]))


def _ended(args: list[str]) -> int:
    """Run the program; return its exit code, or a negative signal number."""
    try:
        _run(args)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        traceback.print_exception(error)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _exit(code: int) -> None:
    """Exit as Python does, but without tearing down the imported modules, which takes a second."""
    end: Any = threading
    end._shutdown()
    end = atexit
    end._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if code < 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


if __name__ == "__main__":
    _main()
