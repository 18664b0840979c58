"""The calls of prefect-collect that the rows measure, in this module only. Runs in a warmed-up worker process.

Each function measures itself and returns ``{"seconds": …}`` with what the harness needs to check the work.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

from prefect_collect.job_folder.lifecycle import claim_attempt, create_job

Spec = dict[str, Any]
"""A source: ``{"files": path}``, or ``{"s3": bucket, "prefix": …, "endpoint": url}``, or
``{"sftp": url, "private_key": …, "known_hosts": …}``, or ``{"webdav": url}``,
or ``{"block": class, "fields": …}``."""


def warm() -> Spec:
    """Import everything that a collection and an export need."""
    import prefect_collect

    start = time.perf_counter()
    _ = (prefect_collect.collect, prefect_collect.export, prefect_collect.FileSource, prefect_collect.ObjectStoreSource)
    return {"seconds": time.perf_counter() - start}


def source_of(spec: Spec) -> Any:
    """Return the block of a data source."""
    import prefect_collect
    from prefect_collect import FileSource, HttpListSource, ObjectStoreSource, RcloneSource, SftpSource, WebDavSource

    if "block" in spec:
        return getattr(prefect_collect, spec["block"]).model_validate({"name": "bench", **spec["fields"]})
    if "files" in spec:
        return FileSource(name="bench", root=spec["files"])
    if "sftp" in spec:
        keys = {name: spec[name] for name in ("private_key", "known_hosts")}
        return SftpSource(name="bench", url=spec["sftp"], config_file=Path("/dev/null"), **keys)
    if "webdav" in spec:
        return WebDavSource(name="bench", url=spec["webdav"])
    if "urls" in spec:
        return HttpListSource(name="bench", url=spec["urls"], allow_private=True)
    if "rclone" in spec:
        return RcloneSource(name="bench", url="rclone://place", config=spec["rclone"])
    url = f"s3://{spec['s3']}/{spec.get('prefix', '')}"
    return ObjectStoreSource(name="bench", url=url, endpoint_url=spec["endpoint"])


def _accounted(store: str, job_id: str, seconds: float, state: str = "") -> Spec:
    """Return the answer about a job: its times and its result's counts. Raise RuntimeError if it left no result."""
    from prefect_collect.job_folder.folder import JobFolder
    from prefect_collect.stores import open_store

    result = JobFolder(open_store(store), job_id).result()
    if result is None:
        raise RuntimeError(f"the job left no result: {state} [job={job_id}]")
    work = (result.ended - result.started).total_seconds()
    said = {name: getattr(result.counts, name) for name in ("found", "succeeded", "failed")}
    return {"seconds": seconds, "work": work, "job_id": job_id, **said}


def _of_run(store: str, state: Any, seconds: float) -> Spec:
    run_id = str(state.state_details.flow_run_id)
    return _accounted(store, run_id, seconds, f"{state.name}: {state.message}")


def run_collection(source: Spec, store: str, concurrency: int | None = None) -> Spec:
    """Run the whole ``collect()`` call, over the Prefect server of PREFECT_API_URL."""
    from prefect_collect import collect

    block = source_of(source)
    options = {"concurrency": concurrency} if concurrency else {}
    start = time.perf_counter()
    state = collect(source=block, store=store, name="bench", return_state=True, **options)
    seconds = time.perf_counter() - start
    return _of_run(store, state, seconds)


def run_export(job_id: str, store: str, destination: str, format: str = "bagit") -> Spec:
    """Run the whole ``export()`` call of a collection."""
    from prefect_collect import export

    command: Any = export
    start = time.perf_counter()
    state = command(job_id, destination, format=format, store=store, return_state=True)
    seconds = time.perf_counter() - start
    return _of_run(store, state, seconds)


def run_engine(source: Spec, store: str) -> Spec:
    """Run the same collection in as many threads without Prefect: no runs, states or artifacts."""
    from concurrent.futures import ThreadPoolExecutor
    from uuid import uuid4

    from prefect_collect.collecting.attempt import ShardFuture, run_attempt
    from prefect_collect.collecting.enumeration import Shard
    from prefect_collect.collecting.policy import CollectionPolicy, ShardPolicy
    from prefect_collect.collecting.shard import collect_shard
    from prefect_collect.flows.shards_here import WORKERS
    from prefect_collect.job_folder.folder import JobFolder, JobRecord
    from prefect_collect.statuses import JobKind
    from prefect_collect.stores import open_store
    from prefect_collect.threads.progress import Progress
    from prefect_collect.threads.stop import Stop

    block = source_of(source)
    start = time.perf_counter()
    opened = open_store(store)
    opened.require_exclusive_creates()
    folder = JobFolder(opened, str(uuid4()))
    record = create_job(folder, JobRecord(folder.job_id, JobKind.COLLECTION, "bench", {"name": "bench"}, "bench"))
    attempt, stop, progress = claim_attempt(folder), Stop(), Progress()
    policy = ShardPolicy("bench", CollectionPolicy(concurrency=32))
    with ThreadPoolExecutor(WORKERS) as pool:

        def submit(shard: Shard) -> ShardFuture:
            return pool.submit(collect_shard, block, folder, attempt, shard.part, policy, stop, progress)

        run_attempt(
            folder, record, attempt, block, submit, policy.collection,
            in_flight=2 * WORKERS, stop=stop, progress=progress,
        )  # fmt: skip
    return _accounted(store, folder.job_id, time.perf_counter() - start)


def list_keys(bucket: str, endpoint: str) -> Spec:
    """List a bucket; `succeeded` is the number of its keys."""
    from prefect_collect.blocks import ObjectStoreSource
    from prefect_collect.sources.listing import items_of

    source = ObjectStoreSource(url=f"s3://{bucket}/", endpoint_url=endpoint)
    start = time.perf_counter()
    count = sum(1 for _ in items_of(source))
    return {"seconds": time.perf_counter() - start, "succeeded": count}


def compare_since(store: str, job_id: str) -> Spec:
    """Compare a listing of the same items with those that a job holds; `succeeded` is the number of those held."""
    from prefect_collect.collecting.incremental import Incremental
    from prefect_collect.job_folder.folder import JobFolder
    from prefect_collect.job_folder.ledger import read_inventory
    from prefect_collect.stores import open_store

    folder, held = JobFolder(open_store(store), job_id), 0
    start = time.perf_counter()
    with Incremental(folder.store, [job_id]) as since:
        for part in folder.parts("inventory", 1):
            judged = since.with_unchanged_skipped(read_inventory(folder, 1, part))
            held += judged.num_rows - judged["outcome"].null_count
    return {"seconds": time.perf_counter() - start, "succeeded": held}


def write_ledger(folder: str, parts: int, rows: int) -> Spec:
    """Write a ledger of `parts` x `rows` rows of staged items, from outcomes to committed files; nothing is collected.

    `seconds` is the whole time, `taking` the part of it in which outcomes are recorded item by item.
    """
    from datetime import UTC, datetime
    from uuid import uuid4

    from prefect_collect.archive.segments import Entry
    from prefect_collect.collecting.shard_ledger import ShardLedger
    from prefect_collect.job_folder import store_keys
    from prefect_collect.job_folder.ledger import inventory_table, ledger_bytes
    from prefect_collect.sources import Item
    from prefect_collect.sources.digests import Digest
    from prefect_collect.stores import Blob, open_store

    store, job_id, now = open_store(folder), str(uuid4()), datetime.now(UTC)
    seconds, taking, size = 0.0, 0.0, 0
    for part in range(parts):
        names = [f"dir{row % 100:03d}/obj-{part * rows + row:07d}.bin" for row in range(rows)]
        inventory = inventory_table(
            [Item(name, name, 10240, now, "d41d8cd98f00b204e9800998ecf8427e") for name in names]
        )
        segment = store_keys.segment_name(1, part)
        digests, entries = [], []
        for row, name in enumerate(names):
            digest = Digest()
            digest.update(name.encode())
            digests.append(digest)
            entries.append(Entry(row * 10400, row * 10400 + 100, 10240, False))
        start = time.perf_counter()
        ledger = ShardLedger(inventory)
        for row in range(rows):
            ledger.tried(row)
            ledger.succeeded(row, digests[row], segment, entries[row])
        taken = time.perf_counter()
        data = ledger_bytes(ledger.table(), [Blob(segment, rows * 10400)])
        blob = store.create(store_keys.ledger_key(job_id, 1, part), data)
        seconds += time.perf_counter() - start
        taking += taken - start
        size += blob.size
    return {"seconds": seconds, "taking": taking, "bytes": size}


def prefect_costs(tasks: int, updates: int) -> Spec:
    """Measure the seconds of single steps of Prefect in this process over its server: Prefect's share of a job."""
    from uuid import UUID

    from prefect import flow, task
    from prefect.artifacts import create_progress_artifact, update_progress_artifact
    from prefect.states import Completed

    inside: list[float] = []

    @task
    def shard() -> int:
        return 0

    @flow
    def empty() -> Any:
        return Completed(name="Successfully completed")

    # Timed inside of the flow: the sleep at its end would hide the work before it.
    @flow
    def steps() -> Any:
        start = time.perf_counter()
        for future in [shard.submit() for _ in range(tasks)]:
            future.wait()
        middle = time.perf_counter()
        artifact = cast(UUID, create_progress_artifact(0.0, key="bench"))
        for update in range(updates):
            update_progress_artifact(artifact, progress=float(update))
        inside.extend([middle - start, time.perf_counter() - middle])
        return Completed(name="Successfully completed")

    empty(return_state=True)
    start = time.perf_counter()
    empty(return_state=True)
    nothing = time.perf_counter() - start
    steps(return_state=True)
    shards, artifact = inside
    return {"seconds": nothing, "task_run": shards / tasks, "artifact_update": artifact / updates}
