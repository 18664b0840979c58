"""Machines that run `serve`: process trees, with their own host name and PID namespace if asked for (see `one_tree`).

For another host, a process of such a machine is as far away as on a real host: whether it runs cannot be seen.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests import forked, shim
from tests.integration.jobs.every_status import until
from tests.integration.prefect_server import PrefectServer
from tests.integration.served.conftest import _ROOT, _SERVE, _plugin, is_ready
from tests.integration.served.one_tree import FORK_SERVER
from tests.integration.servers import end_process

_APART: Final = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
_START: Final = "import sys; from tests.integration.served import one_tree; one_tree.start(sys.argv[1]); "


@dataclass(frozen=True)
class Machine:
    """A machine that runs `serve`."""

    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        """Return the ids of its processes, parents before their children."""
        found, parents = [self.process.pid], _parents()
        for pid in found:
            found += sorted(child for child, parent in parents.items() if parent == pid)
        return found

    def jobs(self) -> list[int]:
        """Return the ids of the processes that run flows: a fork has the name of the fork server."""
        servers = [pid for pid in self.pids() if _name(pid) == FORK_SERVER][:1]
        return [pid for pid, parent in _parents().items() if parent in servers]

    def kill(self) -> None:
        """Kill all processes, as a power failure does."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        """Stop all processes where they are."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have all processes continue as if nothing had happened."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@contextmanager
def machine(server: PrefectServer, folder: Path, host: str = "", *, forks: bool = True) -> Iterator[Machine]:
    """Yield a machine with a `serve` that is ready; it is this host if no other is named.

    `forks`: its fork server is a fork too, not a Python that has to import everything.
    """
    folder.mkdir()
    if host:
        _require_namespaces()
    # Its processes are one tree: no process that it starts is a fork of a process outside.
    path = os.pathsep.join((str(_plugin(folder)), str(_ROOT)))
    environment = {**server.environment(), "PYTHONPATH": path, shim.ASKED: ""}
    with (folder / "serve.log").open("wb") as output:
        process = forked.Popen(
            [sys.executable, "-c", f"{_START}{_SERVE}" if forks else _SERVE, host], env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder,
        )  # fmt: skip
    one = Machine(process)
    try:
        until(lambda: is_ready(process), "serve to be ready")
        yield one
    finally:
        if process.poll() is None:
            one.thaw()
        end_process(process) if not host else one.kill()


@cache
def _require_namespaces() -> None:
    if subprocess.run([*_APART, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let these tests make a PID namespace")


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
