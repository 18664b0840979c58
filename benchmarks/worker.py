"""A warmed-up process that runs prefect-collect on request, so that imports are not measured.

The harness and the process exchange lines of JSON: a request names a module of this package, such as
`benchmarks.product`, a function of it and the arguments; the answer is the function's result (with the seconds it
measured itself), or an error.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from benchmarks.servers import cpu_seconds, family

_ROOT = Path(__file__).parent.parent


class Worker:
    """The harness's side: starts the process and calls functions in it."""

    def __init__(self, log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out,
                cwd=_ROOT, env={**os.environ, **env}, text=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def call(self, function: str, **arguments: Any) -> dict[str, Any]:
        """Run ``module.function`` of this package in the process; add `cpu`, the seconds of CPU it used.

        Raise RuntimeError with the worker's traceback if it fails.
        """
        assert self._process.stdin
        assert self._process.stdout
        cpu = cpu_seconds(self._process.pid)
        try:
            self._process.stdin.write(json.dumps([function, arguments]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"the worker died:\n{self.log.read_text(errors='replace')[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return {**answer, "cpu": cpu_seconds(self._process.pid) - cpu}

    def measure_memory(self, function: str, **arguments: Any) -> dict[str, Any]:
        """Do as `call`, and add the bytes of memory of the process, or child of it, that held most (`peak`).

        `together` is what all held at once, where what they share counts in each.
        """
        done = threading.Event()
        peak = together = 0

        def watch() -> None:
            nonlocal peak, together
            while not done.wait(0.05):
                held = [_resident(pid) for pid in family(self._process.pid)]
                peak, together = max(peak, *held), max(together, sum(held))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            answer = self.call(function, **arguments)
        finally:
            done.set()
            watcher.join()
        peak = max(peak, _high_water(self._process.pid))
        return {**answer, "peak": peak, "together": max(peak, together)}

    def stop(self) -> None:
        """End the process."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def _status(pid: int, field: str) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(field)), 0)


def _resident(pid: int) -> int:
    return _status(pid, "VmRSS:")


def _high_water(pid: int) -> int:
    return _status(pid, "VmHWM:")


def _serve(requests: IO[str], answers: IO[str]) -> None:
    for line in requests:
        function, arguments = json.loads(line)
        module, _, name = function.partition(".")
        try:
            answer = getattr(importlib.import_module(f"benchmarks.{module}"), name)(**arguments)
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    # Output of libraries goes to the log; the pipe carries answers only.
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _serve(sys.stdin, pipe)
