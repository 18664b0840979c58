"""How a fork of the tests becomes the Python program that is asked for, and ends."""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import multiprocessing
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from tests import shim

_PYTHON: Final = sys.executable
_PDEATHSIG: Final = 1
"""PR_SET_PDEATHSIG of prctl(2)."""

_NAME: Final = 15
"""PR_SET_NAME of prctl(2): what ps(1) shows, of processes that all have the same command line."""


_WORKER: Final = "import sys;exec(eval(sys.stdin.readline()))"
"""The program of a process of a parallel run, as execnet starts it."""


def take_over(request: dict[str, Any]) -> None:
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


def ended(args: list[str], path: Sequence[str]) -> int:
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


def end(code: int) -> NoReturn:
    """Exit as Python does, but without tearing down the imported modules, which takes a second."""
    runs: Any = threading
    runs._shutdown()
    runs = atexit
    runs._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if code < 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)
