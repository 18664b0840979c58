"""The rows of many items: time of an item and memory of a process, of each step from the collection to `since`.

The objects are collected from s3bench over Prefect; then the same job is exported, verified and compared with, each in
a fresh process that has done its imports.
"""

from __future__ import annotations

from typing import Any, Final

from benchmarks.context import Bench, all_of
from benchmarks.data import EMPTY, DataSet, remove
from benchmarks.limits import Limit
from benchmarks.measure import say
from benchmarks.verified import verify_package

MOST_MEMORY: Final = 350
_MB: Final = 1e6
_STEPS: Final = ("collect", "list and freeze", "close", "export", "verify of the job", "verify of the package", "since")


def many_items(bench: Bench) -> list[Limit]:
    """Measure 10,000, 100,000 and 1,000,000 objects of 1 KB."""
    sizes = (2_000, 10_000) if bench.quick else (10_000, 100_000, 1_000_000)
    server = bench.s3bench(EMPTY, *(DataSet(f"items{n}", n, 1000, 1000) for n in sizes))
    each = {n: _chain(bench, server.endpoint, n) for n in sizes}
    least, most = sizes[0], sizes[-1]
    rows = []
    for step in _STEPS:
        for n in sizes:
            micros, peak = each[n][step]
            title = f"{step}, {n:,} items"
            limit = MOST_MEMORY if n == most else None
            rows.append(Limit(f"{title}: memory", peak, "MB", limit, f"{micros:.1f} µs an item"))
        # The first has the constant part in each item.
        ratio = each[most][step][0] / each[sizes[-2]][step][0]
        rows.append(Limit(f"{step}: an item of {most:,} beside one of {sizes[-2]:,}", ratio, "times", 1.25, "flat"))
    rows.append(Limit(f"memory, {most:,} beside {least:,} items", _grown(each, least, most), "times", None, "the most"))
    return rows


def _grown(each: dict[int, dict[str, tuple[float, float]]], least: int, most: int) -> float:
    return max(each[most][step][1] / each[least][step][1] for step in _STEPS)


def _chain(bench: Bench, endpoint: str, n: int) -> dict[str, tuple[float, float]]:
    """Return the microseconds of an item and the peak memory in MB of each step; delete what they wrote."""
    store, out = bench.work / f"many-{n}", bench.work / f"many-{n}-out"
    try:
        return _steps(bench, endpoint, n, str(store), str(out))
    finally:
        for folder in (store, out):
            remove(folder)


def _steps(bench: Bench, endpoint: str, n: int, store: str, out: str) -> dict[str, tuple[float, float]]:
    source = {"s3": f"items{n}", "endpoint": endpoint}
    nothing = {"s3": EMPTY.name, "endpoint": endpoint}
    found: dict[str, tuple[float, float]] = {}

    def measured(step: str, function: str, **arguments: Any) -> dict[str, Any]:
        worker = bench.worker(endpoint)
        # What is imported at the first use is no part of an item.
        worker.call("product.run_collection", source=nothing, store=f"{store}-warm")
        bench.settle()
        answer = worker.measure_memory(function, **arguments)
        worker.stop()
        remove(bench.work / f"many-{n}-warm")
        all_of(answer, n)
        found[step] = 1e6 * (answer.get("work") or answer["seconds"]) / n, answer["peak"] / _MB
        say(f"    {step}, {n:,}: {answer['seconds']:.1f} s, {found[step][0]:.1f} µs, {found[step][1]:.0f} MB")
        return answer

    job = measured("collect", "product.run_collection", source=source, store=store)["job_id"]
    closed = measured("close", "scale.listing_and_closing", root=f"{out}-closing", parts=n // 2_000)
    remove(bench.work / f"many-{n}-out-closing")
    found["list and freeze"] = 1e6 * closed["listing"] / n, found["close"][1]
    measured("export", "product.run_export", store=store, job_id=job, destination=out)
    measured("verify of the job", "product.verify_store", store=store, job_id=job)
    [package] = (bench.work / f"many-{n}-out").glob("*.zip")
    taken, said = verify_package(package)
    if not said["valid"] or said["items"] != n:
        raise RuntimeError(f"the package is not valid: {said}")
    found["verify of the package"] = 1e6 * taken.seconds / n, taken.peak * 1.048576
    package.unlink()
    measured("since", "product.compare_since", store=store, job_id=job)
    return found
