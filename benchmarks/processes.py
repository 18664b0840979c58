"""Throughput of worker processes beside threads: files to a local store, with SHA-256, where no server is the limit.

    python -m benchmarks --only processes
    python -m benchmarks.processes [FILES] [ROUNDS] [FOLDER]

Collects FILES small files (10,000), and the same with large ones of 64 MiB, on threads and in processes, one and two of
each, and in one process that shares a core with the job's. The rounds are interleaved, and what is compared is of one
round, as other programs may use the machine too. Prints Markdown; the last lines compute what 16 cores would give from
what is serial. FOLDER (by default the temporary folder) is where the files and stores are made; a file system in memory
keeps the disk from being the limit.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.context import Bench
from benchmarks.limits import Limit
from benchmarks.measure import say
from benchmarks.shard_runs import WAYS, Took, in_turn, times_as_fast
from benchmarks.worker import Worker
from prefect_collect.blocks import FileSource

_LARGE: Final = 64 << 20
_CORES: Final = 16


@contextmanager
def _tree(folder: Path, files: int, large: int) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(dir=folder))
    data = random.Random(7).randbytes(32 << 10)
    for n in range(files):
        place = root / f"{n // 100:04d}"
        place.mkdir(exist_ok=True)
        (place / f"{n:06d}.eml").write_bytes(b"%d" % n + data[: n * 7919 % (32 << 10)])
    for n in range(large):
        (root / f"{n * files // large // 100:04d}" / f"large-{n}.pst").write_bytes(
            b"%d" % n + random.Random(n).randbytes(_LARGE)
        )
    try:
        yield root
    finally:
        shutil.rmtree(root)


def compare(what: str, root: Path, rounds: int) -> None:
    """Print the rows of a tree."""
    took = in_turn(FileSource(root=root), root.parent, WAYS, rounds)
    bases = "threads, 1", "processes, 1, one core", "processes, 1"
    for name, runs in took.items():
        middle = sorted(runs, key=lambda one: one.clock)[len(runs) // 2]
        ratios = " | ".join(f"{times_as_fast(took, base, name):.2f}" for base in bases)
        print(f"| {what} | {name} | {middle.clock:.2f} s | {middle.job:.2f} + {middle.workers:.2f} s | {ratios} |")
    for cores in (2, _CORES):
        print(f"| {what} | computed: {cores} idle cores beside 1 | | | | {computed(took, cores):.2f} | |")


def computed(took: dict[str, list[Took]], cores: int) -> float:
    """Compute how many times as fast so many idle cores would be as one, from what two workers took."""
    return median(one.on(1) / one.on(cores) for one in took["processes, 2"])


def measure(folder: str, files: int, large: int, rounds: int) -> dict[str, Any]:
    """Measure a tree, for `processes`: ratios, seconds and CPU seconds of two workers."""
    ways = [way for way in WAYS if way != "threads, 2"]
    with _tree(Path(folder), files, large) as root:
        took = in_turn(FileSource(root=root), root.parent, ways, rounds)
    return {
        "beside": {base: times_as_fast(took, base, "processes, 2") for base in took},
        "clock": {name: median(one.clock for one in runs) for name, runs in took.items()},
        "used": {name: median(one.job + one.workers for one in runs) for name, runs in took.items()},
        "computed": computed(took, _CORES),
    }


def processes(bench: Bench) -> list[Limit]:
    """Measure two worker processes beside one, on one core and on two, and beside one thread."""
    rows = []
    files = 1_000 if bench.quick else 20_000
    for large in (0, 1 if bench.quick else 8):
        worker = Worker(bench.log("worker"), {})
        bench.stack.callback(worker.stop)
        folder = str(bench.scratch(f"processes-{large}"))
        # Of a small tree first, as imports are no part of it.
        worker.call("processes.measure", folder=folder, files=100, large=0, rounds=1)
        found = worker.call("processes.measure", folder=folder, files=files, large=large, rounds=bench.rounds)
        what = f"{files:,} small files" + (f" and {large} of {_LARGE >> 20} MiB" if large else "")
        clock, used, beside = (found[name] for name in ("clock", "used", "beside"))
        say(f"    {what}: {clock}, CPU {used}")
        for base, other, least in (
            ("processes, 1, one core", "1 on one core", 1.8),
            ("processes, 1", "1 process", 1.8),
            ("threads, 1", "1 thread", None),
        ):
            seconds = f"{clock[base]:.2f} s → {clock['processes, 2']:.2f} s"
            note = f"{seconds}; CPU {used[base]:.2f} → {used['processes, 2']:.2f} s"
            title = f"2 worker processes beside {other}, {what}"
            rows.append(Limit(title, beside[base], "times", least, note, is_least=True))
        title = f"computed: {_CORES} idle cores beside 1, {what}"
        rows.append(Limit(title, found["computed"], "times", note="what the job's process does is serial"))
    return rows


def main() -> None:
    """Measure, and print."""
    given = sys.argv[1:]
    files, rounds, place = (given + ["10000", "5", tempfile.gettempdir()][len(given) :])[:3]
    folder = Path(place)
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, {rounds} rounds\n")
    print("| files | shards at once | clock | CPU: job + workers | to 1 thread | to 1 on one core | to processes, 1 |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for large in (0, 16):
        with _tree(folder, int(files), large) as root:
            compare(f"{int(files):,} small" + (f", {large} of 64 MiB" if large else ""), root, int(rounds))


if __name__ == "__main__":
    main()
