"""What each part of a large collection costs on this machine: the numbers of docs/scale.md.

    python -m benchmarks.scale [PARTS] [SHARDS]

Lists and closes a synthetic job of PARTS × 2,000 items without reading any, and runs one of SHARDS shards of 20 small
files on threads and on a local Dask cluster, over the Prefect server of the environment.
"""

from __future__ import annotations

import hashlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect_collect import layout
from prefect_collect.closing import Ending, close_attempt
from prefect_collect.control import Progress
from prefect_collect.enumeration import Shard, enumerate_source
from prefect_collect.items import Item
from prefect_collect.jobfolder import JobFolder, JobRecord, now
from prefect_collect.ledger import ShardLedger, ledger_bytes, read_inventory
from prefect_collect.reading import Digest
from prefect_collect.segments import Entry
from prefect_collect.statuses import JobKind
from prefect_collect.stores import Blob, Store, open_store

_WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@dataclass
class Synthetic:
    """A source of so many items that are only listed; paths as of a mail archive."""

    count: int
    name: str = "synthetic"

    def items(self) -> Iterator[Item]:
        for n in range(self.count):
            path = f"archive/custodian-{n // 50_000:04d}/2024/{n // 500 % 100:02d}/message-{n:010d}.eml"
            etag = hashlib.md5(b"%d" % n).hexdigest()  # as S3 gives them: they do not compress
            yield Item(path, path, 4_096 + n % 1_000, _WHEN, f'"{etag}"')

    def classify(self, error: Exception, item: Item | None = None) -> None:
        return None


def memory() -> float:
    """The most that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def folder_bytes(store: Store, prefix: str) -> int:
    return sum(blob.size for blob in store.list(prefix))


def commit(folder: JobFolder, part: int) -> None:
    """The ledger part of a shard all of whose items succeeded."""
    ledger = ShardLedger(read_inventory(folder, 1, part))
    segment = layout.segment_name(1, part)
    offset = 0
    for row in range(len(ledger.outcomes)):
        digest = Digest()
        digest.update(f"{part}/{row}".encode())
        ledger.succeeded(row, digest, segment, Entry(offset, offset + 120, 4_096, False))
        ledger.tries[row] = 1
        offset += 4_216
    data = ledger_bytes(ledger.table(), [Blob(segment, offset)])
    folder.store.create(layout.ledger_key(folder.job_id, 1, part), data)


def listing_and_closing(parts: int, root: Path) -> None:
    """List, commit and close; each by the CPU time it takes, its bytes in the store, and memory before and after."""
    source: Any = Synthetic(parts * 2_000)
    folder = JobFolder(open_store(root), "job")
    record = folder.create(JobRecord("job", JobKind.COLLECTION, "scale", {"name": "synthetic"}, "scale"))
    folder.claim()
    began, before = time.process_time(), memory()
    shards: list[Shard] = list(enumerate_source(source, source.items(), folder, 1, progress=Progress()))
    items = sum(shard.items for shard in shards)
    listed = time.process_time()
    print(f"listing: {1e6 * (listed - began) / items:.1f} µs of CPU an item; memory {before:.0f} -> {memory():.0f} MiB")
    for shard in shards:
        commit(folder, shard.part)
    committed, before = time.process_time(), memory()
    print(f"committing: {1e3 * (committed - listed) / len(shards):.1f} ms of CPU a part")
    result = close_attempt(folder, record, 1, Ending(), now())
    closed = time.process_time()
    assert result.counts.succeeded == items
    print(f"closing: {1e3 * (closed - committed) / len(shards):.1f} ms of CPU a part")
    print(f"memory: {before:.0f} -> {memory():.0f} MiB")
    for name in ("inventory", "ledger", "manifest"):
        print(f"{name}: {folder_bytes(folder.store, f'job/{name}/') / items:.1f} bytes an item")


def cpu() -> tuple[float, float]:
    """Seconds of CPU: of this process, and of those that it started and that have ended."""
    of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return of[0].ru_utime + of[0].ru_stime, of[1].ru_utime + of[1].ru_stime


def dispatch(shards: int, root: Path) -> None:
    """The same small shards on threads and on Dask: what a shard more costs there."""
    from prefect_collect import collect, enumeration
    from prefect_collect.blocks.file_source import FileSource

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


def main(parts: int = 250, shards: int = 300) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as root:
        listing_and_closing(parts, Path(root) / "closing")
        if shards:
            dispatch(shards, Path(root) / "dispatch")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
