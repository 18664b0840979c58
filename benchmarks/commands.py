"""Whole commands of the command line: their time, CPU, memory and imported modules, with a Prefect server and without.

    python -m benchmarks.commands
    python -m benchmarks.commands --beside OTHER/.venv/bin/python --rounds 9

Prints a Markdown table of medians, a row for each command. With `--beside`, the commands of another environment (such
as that of an earlier commit) run in turn with those of this one, and the ratio of both is taken pair by pair.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.servers import PrefectServer

FILES: Final = 100
_CLI: Final = "import sys; from prefect_collect.cli import main; sys.argv[0] = 'prefect-collect'; main()"


@dataclass(frozen=True)
class Run:
    """What one command took: seconds, CPU seconds, MiB at its peak."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Command:
    """A command and the environment that it runs in."""

    title: str
    arguments: Sequence[str]
    env: Mapping[str, str]


def _timed(python: str, command: Command) -> Run:
    begun = time.perf_counter()
    process = subprocess.Popen(
        [python, "-c", _CLI, *command.arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=command.env
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command.title} ended with {process.returncode}: {errors.decode()}")
    return Run(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


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
    for where, env in (("without a server", alone), ("with a server", served)):
        commands += [Command(f"{look[0]}, {where}", look, env) for look in looks]
    commands.append(Command("verify JOB, without a server", ["verify", job], alone))
    return [*commands, Command(f"collect of {FILES} files, with a server", ["collect", str(source)], served)]


def _row(command: Command, pythons: Sequence[str], rounds: int) -> str:
    runs: dict[str, list[Run]] = {python: [] for python in pythons}
    for number in range(rounds + 1):
        for python in pythons if number % 2 else pythons[::-1]:
            run = _timed(python, command)
            if number:  # the first fills the caches
                runs[python].append(run)
    cells = [command.title]
    for python in pythons:
        taken = runs[python]
        wall, cpu, peak = (median(getattr(run, name) for run in taken) for name in ("wall", "cpu", "peak"))
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
        source = work / "source"
        source.mkdir()
        for number in range(FILES):
            (source / f"{number}.txt").write_text(f"text {number}\n" * 100)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON"))}
        clean |= {"PREFECT_INTEGRATIONS_COLLECT_STORE": str(work / "store"), "DO_NOT_TRACK": "1"}
        alone = {**clean, "PREFECT_HOME": str(work / "alone")}
        os.chdir(work)  # no settings in a file of the present folder
        server = PrefectServer(work / "server", work / "server.log")
        try:
            served = {**clean, "PREFECT_HOME": str(work / "server"), "PREFECT_API_URL": server.api_url}
            job = _collected(sys.executable, source, served)
            sys.stdout.write(f"| {' | '.join(heads)} |\n| --- {'| ---: ' * (len(heads) - 1)}|\n")
            for command in _commands(job, source, served, alone):
                if args.only in command.title:
                    sys.stdout.write(_row(command, pythons, args.rounds))
                    sys.stdout.flush()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
