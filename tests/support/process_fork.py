"""Runs a function in a fork of this process: a process of its own, without the second that its imports would take.

Use `subprocess` where a fresh interpreter is the behaviour: what is imported, or what works before something is.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import sys
import tempfile
import termios
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, NoReturn


@dataclass(frozen=True)
class Ended:
    """What a fork has printed on its standard streams, and its exit code."""

    code: int
    out: bytes
    err: bytes


def run_fork(
    call: Callable[[], object], *, environment: Mapping[str, str] | None = None, encoding: str = "utf-8"
) -> Ended:
    """Run `call` in a fork with that encoding of standard output, and wait for its end.

    Its exit code is that of the SystemExit that it raises, 1 for any other exception, and 0 without one.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = _start(call, out.fileno(), err.fileno(), environment or {}, encoding)
        return _ended(pid, out, err)


def run_fork_in_terminal(
    call: Callable[[], object], *, columns: int, environment: Mapping[str, str] | None = None, bars: bool = False
) -> Ended:
    """Run `call` as `run_fork` does, with a terminal of that width as standard output; `out` is what it shows.

    With `bars`, standard error is the terminal and standard output is none; `err` is what it shows.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    with tempfile.TemporaryFile() as plain:
        streams = (plain.fileno(), theirs) if bars else (theirs, plain.fileno())
        pid = _start(call, *streams, environment or {}, "utf-8")
        os.close(theirs)
        shown = io.BytesIO()
        with suppress(OSError):  # how a terminal says that no process writes to it any more
            while chunk := os.read(ours, 1 << 16):
                shown.write(chunk)
        os.close(ours)
        return _ended(pid, plain, shown) if bars else _ended(pid, shown, plain)


def run_fork_at_prompt(call: Callable[[], object], *, prompt: bytes, typed: bytes) -> Ended:
    """Run `call` in a fork with a terminal of its own, and type that when it shows the prompt; `out` is all it shows.

    The terminal is that of the fork's session, at which `getpass` asks.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid, ours = pty.fork()
    if pid == 0:
        _run(call, 1, 2, {}, "utf-8", typing=True)
    shown, asked = b"", False
    with suppress(OSError):  # as above
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
            if not asked and prompt in shown:
                asked = True
                os.write(ours, typed)
    os.close(ours)
    return Ended(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown, b"")


def _start(call: Callable[[], object], out: int, err: int, environment: Mapping[str, str], encoding: str) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run(call, out, err, environment, encoding)
    return pid


def _run(
    call: Callable[[], object], out: int, err: int, environment: Mapping[str, str], encoding: str, *,
    typing: bool = False,
) -> NoReturn:  # fmt: skip
    code = 1
    try:
        if not typing:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
        os.environ.update(environment)
        call()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        traceback.print_exception(error)
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


def _ended(pid: int, out: IO[bytes], err: IO[bytes]) -> Ended:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    out.seek(0)
    err.seek(0)
    return Ended(code, out.read(), err.read())
