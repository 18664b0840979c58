"""What each part of a large collection costs on this machine: the numbers of docs/scale.md.

    python -m benchmarks.scale [PARTS] [SHARDS] [STORE]

Lists and closes a synthetic job of PARTS × 2,000 items without reading any, and runs a job of SHARDS shards of 20 small
files on threads and on a local Dask cluster, over the Prefect server of the environment. Then stages PARTS × 2,000
items of 4 KiB in STORE (an empty place; by default a folder that is deleted again), and exports, verifies and
compares with them, each in its own process.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.verified import run_verify
from prefect_collect.archive.segments import Entry, SegmentWriter
from prefect_collect.collecting.closing import Ending, close_attempt
from prefect_collect.collecting.enumeration import Shard, enumerate_source
from prefect_collect.collecting.incremental import Incremental
from prefect_collect.collecting.shard_ledger import ShardLedger
from prefect_collect.exporting.attempt import Steps, build_package, check_package, run_export
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.job_folder import store_keys
from prefect_collect.job_folder.folder import JobFolder, JobRecord, now
from prefect_collect.job_folder.ledger import ledger_bytes, read_inventory
from prefect_collect.job_folder.lifecycle import claim_attempt, create_job
from prefect_collect.sources import Item, Listed, ListingEnd
from prefect_collect.sources.digests import Digest
from prefect_collect.statuses import JobKind
from prefect_collect.stores import Blob, Store, open_store
from prefect_collect.threads.progress import Progress
from prefect_collect.verification import verify_job

_ITEM = b"x" * 4_096
_WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@dataclass
class Synthetic:
    """A source of items that are only listed, with paths as of a mail archive."""

    count: int
    name: str = "synthetic"

    def items(self) -> Iterator[Listed]:
        for n in range(self.count):
            path = f"archive/custodian-{n // 50_000:04d}/2024/{n // 500 % 100:02d}/message-{n:010d}.eml"
            etag = hashlib.md5(b"%d" % n).hexdigest()  # like S3's ETags, they do not compress
            yield Item(path, path, 4_096 + n % 1_000, _WHEN, f'"{etag}"')
        yield ListingEnd("all were yielded", self.count)

    def overlap(self, store: Store) -> None:
        """Return None: the source overlaps no store."""

    def classify(self, error: Exception, item: Item | None = None) -> None:
        return None


def memory() -> float:
    """Return the peak memory of this process, in MiB (`ru_maxrss` is at least the parent's peak)."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def folder_bytes(store: Store, prefix: str) -> int:
    return sum(blob.size for blob in store.list(prefix))


def commit(folder: JobFolder, part: int) -> None:
    """Commit the ledger part of a shard all of whose items succeeded."""
    ledger = ShardLedger(read_inventory(folder, 1, part))
    segment = store_keys.segment_name(1, part)
    offset = 0
    for row in range(ledger.inventory.num_rows):
        digest = Digest()
        digest.update(f"{part}/{row}".encode())
        ledger.succeeded(row, digest, segment, Entry(offset, offset + 120, digest.size, False))
        ledger.tried(row)
        offset += 4_216
    data = ledger_bytes(ledger.table(), [Blob(segment, offset)])
    folder.store.create(store_keys.ledger_key(folder.job_id, 1, part), data)


def listing_and_closing(parts: int, root: Path | str) -> dict[str, float]:
    """List, commit and close; each by the CPU time it takes, its bytes in the store, and memory before and after.

    Return the seconds on the clock of the closing (`seconds`) and of the listing, those of CPU of both, and the items
    that succeeded.
    """
    source: Any = Synthetic(parts * 2_000)
    folder = JobFolder(open_store(root), "job")
    record = create_job(folder, JobRecord("job", JobKind.COLLECTION, "scale", {"name": "synthetic"}, "scale"))
    claim_attempt(folder)
    began, before, clock = time.process_time(), memory(), time.perf_counter()
    shards: list[Shard] = list(enumerate_source(source, source.items(), folder, 1, progress=Progress()))
    items = sum(shard.items for shard in shards)
    listed, listing = time.process_time(), time.perf_counter() - clock
    print(f"listing: {1e6 * (listed - began) / items:.1f} µs of CPU an item; memory {before:.0f} -> {memory():.0f} MiB")
    for shard in shards:
        commit(folder, shard.part)
    committed, before, clock = time.process_time(), memory(), time.perf_counter()
    print(f"committing: {1e3 * (committed - listed) / len(shards):.1f} ms of CPU a part")
    result = close_attempt(folder, record, 1, Ending(), now())
    closed, closing = time.process_time(), time.perf_counter() - clock
    assert result.counts.succeeded == items
    print(f"closing: {1e3 * (closed - committed) / len(shards):.1f} ms of CPU a part")
    print(f"memory: {before:.0f} -> {memory():.0f} MiB")
    for name in ("inventory", "ledger", "manifest"):
        print(f"{name}: {folder_bytes(folder.store, f'job/{name}/') / items:.1f} bytes an item")
    used = {"listing_cpu": listed - began, "closing_cpu": closed - committed}
    return {"seconds": closing, "listing": listing, "succeeded": items, **used}


def stage(folder: JobFolder, part: int) -> None:
    """Write a shard of items of 4 KiB, and commit it."""
    inventory = read_inventory(folder, 1, part)
    ledger = ShardLedger(inventory)
    name = store_keys.segment_name(1, part)
    segment = SegmentWriter(folder.store.writer(store_keys.segment_key(folder.job_id, name)), "scale")
    for row, path in enumerate(inventory["path"].to_pylist()):
        digest, data = Digest(), b"%d/%d" % (part, row) + _ITEM[16:]
        digest.update(data)
        ledger.succeeded(row, digest, name, segment.append(path, data, digest.crc32, _WHEN))
        ledger.tried(row)
    blob = segment.close()
    committed = ledger_bytes(ledger.table(), [Blob(name, blob.size, blob.etag)])
    folder.store.create(store_keys.ledger_key(folder.job_id, 1, part), committed)


def holding(parts: int, place: str) -> None:
    """Stage items, then measure later steps with them."""
    source: Any = Synthetic(parts * 2_000)
    folder = JobFolder(open_store(f"{place}/store"), "job")
    record = create_job(folder, JobRecord("job", JobKind.COLLECTION, "scale", {"name": "synthetic"}, "scale"))
    claim_attempt(folder)
    for shard in enumerate_source(source, source.items(), folder, 1, progress=Progress()):
        stage(folder, shard.part)
    assert close_attempt(folder, record, 1, Ending(), now()).counts.succeeded == source.count
    for step in (exporting, verifying_job, verifying_package, comparing):
        process = multiprocessing.get_context("spawn").Process(target=step, args=(place, source.count))
        process.start()
        process.join()
        assert process.exitcode == 0


class Step:
    """One step, by its CPU time per item, the memory of the process before it, and the peak within it."""

    def __init__(self, name: str, items: int) -> None:
        self._name, self._items = name, items

    def __enter__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the present memory
        self._before, self._began = memory(), time.process_time()

    def __exit__(self, *_: object) -> None:
        took = 1e6 * (time.process_time() - self._began) / self._items
        print(
            f"{self._name}: {took:.1f} µs of CPU an item; memory {self._before:.0f} -> {memory():.0f} MiB", flush=True
        )


def exporting(place: str, items: int) -> None:
    """Export the job as one ZIP file."""
    bound = bind_collection(open_store(f"{place}/store"), "job")
    folder = bound.folder.beside("export")
    record = create_job(folder, JobRecord("export", JobKind.EXPORT, "export", bound.record.source, "scale"))
    delivery = Delivery(open_store(f"{place}/out"), "bagit")

    def check(*given: Any) -> Any:
        with Step("export: check", items):
            return check_package(*given)

    def build(bound: Any, delivery: Any, checked: Any, replace: bool) -> Any:
        with Step("export: build", items):
            built = build_package(bound, delivery, checked, replace=replace)
        print(f"package: {built.blob.size / items - len(_ITEM):.1f} bytes an item besides its own")
        return built

    with Step("export: all", items):
        run_export(folder, record, claim_attempt(folder), bound, delivery, Steps(check, build))


def verifying_job(place: str, items: int) -> None:
    """Verify the job."""
    folder = JobFolder(open_store(f"{place}/store"), "job")
    with Step("verify: job", items):
        found = verify_job(folder)
    assert found.valid, found.problems[:3]
    assert found.items == items


def verifying_package(place: str, items: int) -> None:
    """Verify the package, by the command."""
    taken, found = run_verify(f"{place}/out/scale.zip")
    print(f"verify: package: {1e6 * taken.cpu / items:.1f} µs of CPU an item; memory {taken.peak} MiB, all processes")
    assert found["valid"], found["problems"][:3]
    assert found["items"] == items


def comparing(place: str, items: int) -> None:
    """List the same items again, since the job."""
    folder = JobFolder(open_store(f"{place}/store"), "job")
    with Step("since: read", items):
        since = Incremental(folder.store, ["job"])
    with since, Step("since: compare", items):
        for part in folder.parts("inventory", 1):
            judged = since.with_unchanged_skipped(read_inventory(folder, 1, part))
            assert judged["outcome"].null_count == 0


def cpu() -> tuple[float, float]:
    """Return the CPU seconds of this process and of its ended children."""
    of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return of[0].ru_utime + of[0].ru_stime, of[1].ru_utime + of[1].ru_stime


def dispatch(shards: int, root: Path) -> None:
    """Run the same small shards on threads and on Dask, and print what one more shard costs."""
    from prefect_collect import collect
    from prefect_collect.blocks.file_source import FileSource
    from prefect_collect.collecting import enumeration

    tree = root / "tree"
    for n in range(shards):
        (tree / f"{n:05d}").mkdir(parents=True)
        for file in range(20):
            (tree / f"{n:05d}" / f"{file:02d}").write_bytes(b"x" * 1000)
    few = 4
    took: dict[tuple[str, int], tuple[float, float]] = {}
    for runner in ("threads", "dask"):
        for count in (few, shards):
            enumeration.SHARD_ITEMS = 20 * shards // count  # type: ignore[misc]
            began = cpu()
            source = FileSource(name="tree", root=tree)
            store = root / f"{runner}-{count}"
            state = collect(source=source, store=store, runner=runner, workers=2, return_state=True)
            assert state.name == "Successfully completed", state.message
            ended = cpu()
            took[runner, count] = ended[0] - began[0], ended[1] - began[1]
        (own, others), (own_few, others_few) = took[runner, shards], took[runner, few]
        each = 1e3 / (shards - few)
        print(f"{runner}: job of {few} shards: {own_few:.1f} s of CPU, {others_few:.1f} s of its workers", flush=True)
        print(
            f"{runner}: a shard more: {each * (own - own_few):.1f} ms, {each * (others - others_few):.1f} ms",
            flush=True,
        )


def main(parts: int | str = 250, shards: int | str = 300, store: str = "") -> None:
    """Measure and print."""
    parts, shards = int(parts), int(shards)
    with tempfile.TemporaryDirectory() as root:
        listing_and_closing(parts, Path(root) / "closing")
        holding(parts, store or root)
        if shards:
            dispatch(shards, Path(root) / "dispatch")


if __name__ == "__main__":
    main(*sys.argv[1:])
