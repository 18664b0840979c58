"""The process of which Python programs of the tests are forks: `python -m tests.fork_server`.

`tests.forked` starts it. It imports Prefect and prefect-collect, and forks for each request at a socket; a fork becomes
the program that is asked for (`tests.fork_program`).
"""

from __future__ import annotations

import ast
import gc
import importlib
import os
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from tests.fork_program import end, ended, take_over

_PRELOADED: Final = [
    "hypothesis",
    "aiosqlite",
    "boto3",
    "burner_redis",
    "distributed.nanny",
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
NUMBER: Final = struct.Struct("=q")
_MOST_FDS: Final = 80


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
            watched: list[Any] = [*self._ours(), waking, *self.programs]
            ready, _, _ = select.select(watched, [], [])
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
            os.write(program, NUMBER.pack(pid))
        return None

    def _report(self) -> None:
        while self.reports:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with suppress(OSError):  # the one that asked for it has ended
                os.write(self.reports[pid], NUMBER.pack(status))
            self.programs.pop(self.reports[pid], None)
            os.close(self.reports.pop(pid))


def _main() -> None:
    path = path_of_programs()
    gc.disable()  # what is imported stays
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.enable()
    gc.set_threshold(10_000)  # a twentieth of the time of a Prefect server went into searches among new objects
    tests, listening = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    fork_at(listening, tests, path)


def path_of_programs() -> list[str]:
    """Return where programs find modules: not those of the tests."""
    return [entry for entry in sys.path if entry not in ("", str(Path(__file__).parents[1]))]


def fork_at(listening: socket.socket, tests: socket.socket | None = None, path: Sequence[str] = ()) -> NoReturn:
    """Fork for each request at a socket, until the other one is closed; the forks find modules on `path`."""
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()
    request = _Forks(listening, tests).serve()
    take_over(request)
    end(ended(request["args"], path))


if __name__ == "__main__":
    _main()
