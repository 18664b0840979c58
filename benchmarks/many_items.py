"""The rows of many items: time of an item and memory of a process, of each step from the collection to `since`.

The objects are collected from s3bench over Prefect; then the same job is exported, verified and compared with, each in
a fresh process that has done its imports; `verify` of the job and of the package are the whole command.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.context import Bench, all_of
from benchmarks.data import EMPTY, DataSet, remove
from benchmarks.limits import Limit
from benchmarks.measure import say
from benchmarks.objects import s3
from benchmarks.verified import run_verify

_MB: Final = 1e6
_VERIFY: Final = 250 * 2**20 / _MB
MOST_MEMORY: Final = {
    "collect": 350,
    "list and freeze": 350,
    "close": 350,
    "export": 350,
    "verify of the job": _VERIFY,
    "verify of the package": _VERIFY,
    "since": 350,
}
"""The steps, and the MB that each may take of the most items."""

Step = tuple[float, float, float, float]
"""The microseconds and the microseconds of CPU of an item, and the peak memory in MB of a process and of all."""


def many_items(bench: Bench) -> list[Limit]:
    """Measure 10,000, 100,000 and 1,000,000 objects of 1 KB."""
    sizes = (2_000, 10_000) if bench.quick else (10_000, 100_000, 1_000_000)
    server = bench.s3bench(EMPTY, *(DataSet(f"items{n}", n, 1000, 1000) for n in sizes))
    each = {n: _chain(bench, server.endpoint, n) for n in sizes}
    least, most = sizes[0], sizes[-1]
    rows = []
    for step, most_memory in MOST_MEMORY.items():
        for n in sizes:
            micros, cpu, peak, together = each[n][step]
            title = f"{step}, {n:,} items"
            limit = most_memory if n == most else None
            note = f"{micros:.1f} µs an item, CPU {cpu:.1f} µs"
            if together > 1.1 * peak:
                note += f" in the job's process, without its workers; {together:.0f} MB in all"
            rows.append(Limit(f"{title}: memory", peak, "MB", limit, note, rounds=1))
        # The first has the constant part in each item.
        ratio = each[most][step][0] / each[sizes[-2]][step][0]
        cpus = [each[n][step][1] for n in (most, sizes[-2])]
        title = f"{step}: an item of {most:,} beside one of {sizes[-2]:,}"
        note = f"CPU {cpus[0]:.1f} beside {cpus[1]:.1f} µs"
        rows.append(Limit(title, ratio, "times", 1.25, note, rounds=1))
    title, grown = f"memory, {most:,} beside {least:,} items", _grown(each, least, most)
    return [*rows, Limit(title, grown, "times", None, "the most", rounds=1)]


def _grown(each: Mapping[int, Mapping[str, Step]], least: int, most: int) -> float:
    return max(each[most][step][2] / each[least][step][2] for step in MOST_MEMORY)


def _chain(bench: Bench, endpoint: str, n: int) -> dict[str, Step]:
    """Return what each step took; delete what they wrote."""
    store, out = bench.work / f"many-{n}", bench.work / f"many-{n}-out"
    try:
        return _steps(bench, endpoint, n, str(store), str(out))
    finally:
        for folder in (store, out):
            remove(folder)


def _steps(bench: Bench, endpoint: str, n: int, store: str, out: str) -> dict[str, Step]:
    source, nothing = s3(f"items{n}", endpoint), s3(EMPTY.name, endpoint)
    found: dict[str, Step] = {}

    def measured(step: str, function: str, **arguments: Any) -> dict[str, Any]:
        worker = bench.worker(endpoint)
        # What is imported at the first use is no part of an item.
        worker.call("product.run_collection", source=nothing, store=f"{store}-warm")
        bench.settle()
        answer = worker.measure_memory(function, **arguments)
        worker.stop()
        remove(bench.work / f"many-{n}-warm")
        all_of(answer, n)
        seconds = answer.get("work") or answer["seconds"]
        memory = answer["peak"] / _MB, answer["together"] / _MB
        found[step] = 1e6 * seconds / n, 1e6 * answer["cpu"] / n, *memory
        say(f"    {step}, {n:,}: {answer['seconds']:.1f} s, {found[step][0]:.1f} µs, {found[step][2]:.0f} MB")
        return answer

    job = measured("collect", "product.run_collection", source=source, store=store)["job_id"]
    closed = measured("close", "scale.listing_and_closing", root=f"{out}-closing", parts=n // 2_000)
    remove(bench.work / f"many-{n}-out-closing")
    cpu = {name: 1e6 * closed[f"{name}_cpu"] / n for name in ("listing", "closing")}
    memory = found["close"][2:]
    found["list and freeze"] = 1e6 * closed["listing"] / n, cpu["listing"], *memory
    found["close"] = found["close"][0], cpu["closing"], *memory
    measured("export", "product.run_export", store=store, job_id=job, destination=out)
    [package] = (bench.work / f"many-{n}-out").glob("*.zip")
    for step, what in (("verify of the job", Path(store) / job), ("verify of the package", package)):
        bench.settle()
        taken, said = run_verify(what)
        if not said["valid"] or said["items"] != n:
            raise RuntimeError(f"{what} is not valid: {said}")
        peak = taken.peak * 1.048576
        found[step] = 1e6 * taken.seconds / n, 1e6 * taken.cpu / n, peak, peak
    package.unlink()
    measured("since", "product.compare_since", store=store, job_id=job)
    return found
