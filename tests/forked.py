"""Python programs of the tests, started as forks of a process that has imported Prefect and prefect-collect.

`Popen` has the arguments of `subprocess.Popen`, for ``[sys.executable, …]`` and for installed Python scripts. It saves
the seconds of processor time that the imports take: a process that has imported them (`python -m tests.forked`, one for
all processes of the tests) forks, and the fork gets the standard streams, environment, folder and arguments. The fork
reacts to SIGINT, and ends when the process that asked for it ends. Use `subprocess` for programs that need options of
the interpreter, or PYTHON… variables other than PYTHONPATH.

The processes of a parallel run are forks too, of one that has collected the tests: see `tests.collected`.

With `environment` a shell, and with `asking` the programs themselves, start forks too: see `tests.shim`.
"""

from __future__ import annotations

import ast
import atexit
import ctypes
import fcntl
import gc
import importlib
import multiprocessing
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

from tests import shim

_ROOT: Final = Path(__file__).parents[1]
_PRELOADED: Final = [
    "hypothesis",
    "aiosqlite",
    "boto3",
    "burner_redis",
    "distributed.nanny",
    "obstore",
    "pandas",
    "prefect.cli._server_utils",
    "prefect.cli.deploy",
    "prefect.cli.flow_run",
    "prefect.cli.global_concurrency_limit",
    "prefect.cli.server",
    "prefect.cli.work_pool",
    "prefect.cli.worker",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.server.api.server",
    "prefect.server.database.query_components",
    "prefect.server.events.services.actions",
    "prefect.task_engine",
    "prefect.workers.process",
    "prefect_collect.blocks.registered",
    "prefect_collect.cli._app",
    "prefect_collect.cli._demo",
    "prefect_collect.cli._drafts",
    "prefect_collect.cli._job_steps",
    "prefect_collect.cli._jobs",
    "prefect_collect.cli._listing",
    "prefect_collect.cli._report",
    "prefect_collect.cli._verifying",
    "prefect_collect.deployments._preloaded",
    "prefect_collect.deployments.serving",
    "prefect_collect.flows.collection",
    "prefect_collect.flows.exports",
    "prefect_collect.flows.recovery",
    "pycurl",
    "typer._adapters",
    "typer.rich_utils",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
]
_PYTHON: Final = sys.executable
_NUMBER: Final = struct.Struct("=q")
_PDEATHSIG: Final = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
_NAME: Final = 15
"""PR_SET_NAME of prctl(2): what ps(1) shows, of processes that all have the same command line."""
_MOST_FDS: Final = 80
_SHIM: Final = _ROOT / "tests" / "shim.py"
_SHARED: Final = "TESTS_FORKS"
"""The variable with the folder of the process that has started what forks for this one too."""

_WORKER: Final = "import sys;exec(eval(sys.stdin.readline()))"
"""The program of a process of a parallel run, as execnet starts it."""

_PROGRAMS: Final = ("python", "prefect", "prefect-collect")


class Popen(subprocess.Popen):  # type: ignore[type-arg]
    """A Python program in a process of its own, with the interface of `subprocess.Popen`."""

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
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)
        self.pid = self._number()
        self._child_created = True

    def _number(self) -> int:
        data = self._status.recv(_NUMBER.size)
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


def share() -> str:
    """Have what forks for this process fork for those that it starts too; return their program for Python."""
    os.environ.update({**asking(), _SHARED: str(_folder())})
    return str(_folder() / "bin" / "python")


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
        [sys.executable, "-m", "tests.forked", str(theirs.fileno()), str(listening.fileno())], cwd=_ROOT,
        pass_fds=[theirs.fileno(), listening.fileno()],
        stdin=subprocess.DEVNULL, env={**environment, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"},
    )  # fmt: skip
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)


@dataclass
class _Forks:
    """What forks, in the process that does: each program is asked for on a connection of its own."""

    listening: socket.socket
    tests: socket.socket | None = None
    """It is closed when the tests end."""
    reports: dict[int, int] = field(default_factory=dict)
    """Where the end of a fork is reported, by its pid."""
    programs: dict[int, int] = field(default_factory=dict)
    """The pid of the fork of a program, by its socket; 0 before it is asked for."""

    def serve(self) -> dict[str, Any]:
        """Fork for each request until there are no more; a fork returns from here with its request."""
        waking, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([*self._ours(), waking, *self.programs], [], [])
            if self.tests in ready:
                os._exit(0)
            if waking in ready:
                os.read(waking, 4096)
                self._report()
            if self.listening in ready:
                self.programs[self.listening.accept()[0].detach()] = 0
            request = None
            for program in [fd for fd in ready if isinstance(fd, int) and self.programs.get(fd) is not None]:
                request = request or self._asked_by(program)
            if request is not None:
                os.close(waking)
                os.close(woken)
                return request

    def _ours(self) -> list[socket.socket]:
        return [self.listening, *([self.tests] if self.tests else [])]

    def _asked_by(self, program: int) -> dict[str, Any] | None:
        """Fork for a program, or kill its fork if it has gone."""
        with socket.socket(fileno=os.dup(program)) as asking:
            data, fds, _, _ = socket.recv_fds(asking, 1, _MOST_FDS)
        if data:
            return self._fork(fds, program)
        pid = self.programs.pop(program)
        if pid:
            os.kill(pid, signal.SIGKILL)
            self.reports[pid] = os.open(os.devnull, os.O_WRONLY)
        os.close(program)
        return None

    def _fork(self, fds: list[int], program: int) -> dict[str, Any] | None:
        *given, described = fds
        size = os.fstat(described).st_size
        request: dict[str, Any] = ast.literal_eval(os.pread(described, size, 0).decode("utf-8", "surrogateescape"))
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in {described, *self.reports.values(), *self.programs} - {-1}:
                os.close(number)
            for ours in self._ours():
                ours.close()
            return request | {"fds": given}
        if request["group"] == 0:
            with suppress(OSError):
                os.setpgid(pid, pid)
        for fd in fds:
            os.close(fd)
        self.reports[pid] = program
        self.programs[program] = pid
        with suppress(OSError):
            os.write(program, _NUMBER.pack(pid))
        return None

    def _report(self) -> None:
        while self.reports:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with suppress(OSError):  # the one that asked for it has ended
                os.write(self.reports[pid], _NUMBER.pack(status))
            self.programs.pop(self.reports[pid], None)
            os.close(self.reports.pop(pid))


def _take_over(request: dict[str, Any]) -> None:
    """Become the process that is asked for."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PDEATHSIG, signal.SIGKILL)
    prctl(_NAME, " ".join(Path(word).name for word in request["args"][1:])[:15].encode() or b"program")
    if request["session"]:
        os.setsid()
    elif request["group"] == 0:
        with suppress(OSError):
            os.setpgid(0, 0)
    _put(request["fds"], request["numbers"])
    signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Those of the forking process know whether its own can be sought in.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])


def _put(fds: list[int], numbers: list[int]) -> None:
    """Have the open files under the numbers that they are to have."""
    free = [fcntl.fcntl(fd, fcntl.F_DUPFD, max(numbers) + 1) for fd in fds]
    for fd in fds:
        os.close(fd)
    for fd, number in zip(free, numbers, strict=True):
        os.dup2(fd, number)
        os.close(fd)


def _prepare(args: list[str], path: Sequence[str]) -> None:
    """Have Prefect read the settings of this process, and know the plugins on its path, as if imported only now.

    The command sets some of Prefect's settings before it imports Prefect.
    """
    if args[1:] == ["-c", _WORKER]:
        del os.environ[shim.ASKED], os.environ[shim.REAL]
        return

    import prefect.plugins
    from prefect.context import refresh_global_settings_context
    from prefect.logging.configuration import setup_logging

    from prefect_collect.cli import _server, _serving

    if Path(args[0]).name == "prefect-collect":
        for name, value in (_serving._SETTINGS if "serve" in args else _server._QUIET).items():
            os.environ.setdefault(name, value)
    if os.environ.get(shim.ASKED):
        sys.executable = str(Path(os.environ[shim.ASKED]).parent / "bin" / "python")
        multiprocessing.set_executable(sys.executable)
    added = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    sys.path[:] = ["", *added, *path]
    refresh_global_settings_context()
    setup_logging(incremental=False)
    if any(True for folder in added for _ in Path(folder).glob("*.dist-info")):
        prefect.plugins.load_prefect_collections(reload=True)


def _run(args: list[str]) -> None:
    if args[0] != _PYTHON:
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
    gc.disable()  # what is imported stays
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.enable()
    tests, listening = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    fork_at(listening, tests, path)


def fork_at(listening: socket.socket, tests: socket.socket | None = None, path: Sequence[str] = ()) -> NoReturn:
    """Fork for each request at a socket, until the other one is closed; the forks find modules on `path`."""
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()
    request = _Forks(listening, tests).serve()
    _take_over(request)
    _exit(_ended(request["args"], path))


def _ended(args: list[str], path: Sequence[str]) -> int:
    """Run the program; gives its exit code, or a signal's number less than 0."""
    try:
        _prepare(args, path)
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


def _exit(code: int) -> NoReturn:
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
