"""Whole commands of the command line: their time, CPU, memory and imported modules, with a Prefect server and without.

    python -m benchmarks --only commands
    python -m benchmarks.commands
    python -m benchmarks.commands --beside OTHER/.venv/bin/python --rounds 9

Prints a Markdown table of medians, a row for each command. With `--beside`, the commands of another environment (such
as that of an earlier commit) run in turn with those of this one, and the ratio of both is taken pair by pair.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.context import Bench
from benchmarks.limits import Limit
from benchmarks.measure import say
from benchmarks.servers import PrefectServer

FILES: Final = 100
_CLI: Final = "import sys; from prefect_collect.cli import main; sys.argv[0] = 'prefect-collect'; main()"
_TIMER: Final = """
import os, sys, time
begun = time.perf_counter()
pid = os.fork()
if pid == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print([time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss])
sys.exit(os.waitstatus_to_exitcode(status))
"""
_COUNTED: Final = re.compile(r"I\s+refs:\s+([\d,]+)")


@dataclass(frozen=True)
class Run:
    """What one command took: seconds, CPU seconds, MiB at its peak."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Command:
    """A command, the environment that it runs in, and the seconds and MB that it may take."""

    title: str
    arguments: Sequence[str]
    env: Mapping[str, str]
    most_seconds: float | None = None
    most_memory: float | None = None


def _timed(python: str, command: Command) -> Run:
    """Run a command from a small process: a process counts the memory of the one that started it as its own peak."""
    argv = [sys.executable, "-I", "-S", "-c", _TIMER, python, "-c", _CLI, *command.arguments]
    done = subprocess.run(argv, capture_output=True, text=True, env=command.env)
    if done.returncode:
        raise RuntimeError(f"{command.title} ended with {done.returncode}: {done.stderr}")
    wall, cpu, peak = json.loads(done.stdout)
    return Run(wall, cpu, peak / 1024)


def _medians(runs: Sequence[Run]) -> tuple[float, float, float]:
    """Return the medians of the seconds, of the CPU seconds and of the MiB."""
    return median(run.wall for run in runs), median(run.cpu for run in runs), median(run.peak for run in runs)


def _modules(python: str, command: Command) -> int:
    """Return how many modules the command imports."""
    argv = [python, "-X", "importtime", "-c", _CLI, *command.arguments]
    done = subprocess.run(argv, capture_output=True, check=True, text=True, env=command.env)
    return sum(line.startswith("import time:") for line in done.stderr.splitlines()) - 1


def _collected(python: str, source: Path, env: Mapping[str, str]) -> str:
    """Collect the source, and return the job's id."""
    argv = [python, "-c", _CLI, "collect", str(source), "--json"]
    done = subprocess.run(argv, capture_output=True, check=True, text=True, env=env)
    return str(json.loads(done.stdout)["job_id"])


def _commands(job: str, source: Path, served: Mapping[str, str], alone: Mapping[str, str]) -> list[Command]:
    looks = (["jobs"], ["show", job], ["preview", job], ["report", job])
    commands = [Command("--help", ["--help"], alone)]
    commands += [Command(f"{look[0]}, without a server", look, alone, 0.4, 90) for look in looks]
    commands += [Command(f"{look[0]}, with a server", look, served, 0.9) for look in looks]
    commands.append(Command("verify JOB, without a server", ["verify", job], alone))
    return [*commands, Command(f"collect of {FILES} files, with a server", ["collect", str(source)], served, 1.2)]


def _instructions(command: Command) -> float | None:
    """Return the millions of instructions of the command as Valgrind counts them; None without Valgrind."""
    if shutil.which("valgrind") is None:
        return None
    count = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    argv = [*count, sys.executable, "-c", _CLI, *command.arguments]
    done = subprocess.run(argv, capture_output=True, check=True, text=True, env=command.env)
    said = _COUNTED.search(done.stderr)
    return int(said[1].replace(",", "")) / 1e6 if said else None


def commands(bench: Bench) -> list[Limit]:
    """Measure each command; those without a server also by their instructions, which no load of the machine changes."""
    rows = []
    with _ready(bench.scratch("commands"), bench.prefect) as every:
        for command in every:
            runs = [_timed(sys.executable, command) for _ in range(bench.rounds + 1)][1:]  # the first fills the caches
            wall, cpu, peak = _medians(runs)
            memory = peak * 1.048576
            counted = _instructions(command) if command.most_memory and not bench.quick else None
            said = [
                f"CPU {cpu:.2f} s",
                f"{memory:.0f} MB",
                *([f"{counted:,.0f} million instructions"] if counted else []),
            ]
            say(f"    {command.title}: {wall:.2f} s, {', '.join(said)}")
            rows.append(Limit(command.title, wall, "s", command.most_seconds, ", ".join(said)))
            if command.most_memory:
                rows.append(Limit(f"{command.title}: memory", memory, "MB", command.most_memory, said[0]))
    return rows


def _row(command: Command, pythons: Sequence[str], rounds: int) -> str:
    runs: dict[str, list[Run]] = {python: [] for python in pythons}
    for number in range(rounds + 1):
        for python in pythons if number % 2 else pythons[::-1]:
            run = _timed(python, command)
            if number:  # the first fills the caches
                runs[python].append(run)
    cells = [command.title]
    for python in pythons:
        wall, cpu, peak = _medians(runs[python])
        cells.append(f"{wall:.2f} s, {cpu:.2f} s, {peak:.0f} MiB, {_modules(python, command):,}")
    if len(pythons) > 1:
        ours, others = (runs[python] for python in pythons)
        for name in ("wall", "cpu", "peak"):
            ratio = median(getattr(b, name) / getattr(a, name) for a, b in zip(ours, others, strict=True))
            cells.append(f"{ratio:.2f}")
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commands", description=__doc__)
    parser.add_argument("--beside", metavar="PYTHON", help="the Python of another environment with prefect-collect")
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each command (default: 5)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only commands whose title contains it")
    args = parser.parse_args()
    pythons = [sys.executable, *([args.beside] if args.beside else [])]
    heads = ["command", "here: time, CPU, memory, modules"]
    if args.beside:
        heads += ["other", "other ÷ here: time", "CPU", "memory"]
    with tempfile.TemporaryDirectory(prefix="prefect-collect-bench-") as folder:
        work = Path(folder)
        server = PrefectServer(work / "server", work / "server.log")
        try:
            with _ready(work, server) as every:
                sys.stdout.write(f"| {' | '.join(heads)} |\n| --- {'| ---: ' * (len(heads) - 1)}|\n")
                for command in every:
                    if args.only in command.title:
                        sys.stdout.write(_row(command, pythons, args.rounds))
                        sys.stdout.flush()
        finally:
            server.stop()


@contextmanager
def _ready(work: Path, server: PrefectServer) -> Iterator[list[Command]]:
    """Collect some files, and yield the commands; the present folder is one without settings in a file meanwhile."""
    source, before = work / "source", Path.cwd()
    source.mkdir()
    for number in range(FILES):
        (source / f"{number}.txt").write_text(f"text {number}\n" * 100)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON"))}
    clean |= {"PREFECT_INTEGRATIONS_COLLECT_STORE": str(work / "store"), "DO_NOT_TRACK": "1"}
    alone = {**clean, "PREFECT_HOME": str(work / "alone")}
    served = {**clean, "PREFECT_HOME": server.env["PREFECT_HOME"], "PREFECT_API_URL": server.api_url}
    os.chdir(work)
    try:
        yield _commands(_collected(sys.executable, source, served), source, served, alone)
    finally:
        os.chdir(before)


if __name__ == "__main__":
    main()
