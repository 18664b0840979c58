"""The collection job."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from prefect import runtime
from prefect.blocks.core import Block
from prefect.client.schemas.objects import State, StateType
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from prefect_collect.attempts import AttemptPolicy, ShardFuture, run_attempt
from prefect_collect.blocks.data_source import DataSource
from prefect_collect.collecting import ShardPolicy
from prefect_collect.control import RetryPolicy, announce
from prefect_collect.enumeration import Shard
from prefect_collect.errors import AttemptSuperseded, CollectError, SourceInactive, UsageError
from prefect_collect.flows._job_flow import begin, ended, flow, job_id, refused, saved, set_status, superseded
from prefect_collect.flows._stores import store_of
from prefect_collect.flows.names import COLLECTION_FLOW
from prefect_collect.jobfolder import JobFolder, JobRecord
from prefect_collect.paths import name_to_folder
from prefect_collect.query import Query
from prefect_collect.reports import reported_items
from prefect_collect.shared import sharing
from prefect_collect.statuses import SKIPPED_STATE, JobKind, JobStatus, LifecycleStatus
from prefect_collect.tasks.artifacts import show_result, shown_progress
from prefect_collect.tasks.collecting import collect_shard_task

WORKERS = 2
"""Shards collected at a time on one machine; each reads up to `concurrency` items at once."""


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    return str(parameters.get("name") or parameters["source"].name)


@flow(
    name=COLLECTION_FLOW,
    flow_run_name=_run_name,
    description="Collects the items of a data source into a staging store, and accounts for every one of them.",
    task_runner=ThreadPoolTaskRunner(max_workers=WORKERS),
)
def collect(
    source: DataSource,
    query: Query | dict[str, Any] | None = None,
    name: str | None = None,
    store: Block | Path | str | None = None,
    tolerated_failure_percentage: float = Field(default=100.0, ge=0, le=100),
    on_empty: Literal["succeed", "fail"] = "succeed",
    compress: bool = False,
    tries: int = Field(default=5, ge=1, le=100),
    concurrency: int = Field(default=32, ge=1, le=1024),
    only: str | None = None,
) -> State[Any]:
    """Collect the items of a data source into a staging store, and account for every one of them.

    Args:
        source: The data source: a DataSource block.
        query: Which items to take, as a `Query` or its fields; everything if left out.
        name: What to call the job; by default the source's name.
        store: The staging store: a directory, s3://bucket/prefix, or a store block; by default under PREFECT_HOME.
        tolerated_failure_percentage: Stop early when more than this share of the items has failed; 100 never stops.
        on_empty: What a source in which nothing matches is: "succeed" (with a warning) or "fail".
        compress: Deflate staged items that get smaller by it.
        tries: How often to try an item that fails for a passing reason.
        concurrency: How many small items of a shard to read at once.
        only: For a retry: an error report (its location) with the items to work on; by default all not succeeded.

    Returns:
        A state with the documented name, whose result is the attempt's `TaskResult`.
    """
    kind = JobKind.COLLECTION
    if source.lifecycle is not LifecycleStatus.ACTIVE:
        return _skipped(source)
    try:
        wanted = Query.of(query)
        opened = store_of(store)
        begin(store=opened.url)
        opened.require_exclusive_creates()
        folder = JobFolder(opened, job_id())
        options = {
            "tolerated_failure_percentage": tolerated_failure_percentage,
            "on_empty": on_empty,
            "compress": compress,
        }
        record = folder.create(_record(folder.job_id, source, name, wanted, options))
        _require_same(record, source)
        redo = None if only is None else reported_items(only)
        if redo is not None and not folder.attempts():
            raise UsageError("only is for a retry: this job has not been run before, so there is nothing to redo.")
        attempt = folder.claim()
    except AttemptSuperseded as error:
        raise superseded(error) from error
    except CollectError as error:
        return refused(kind, error)
    set_status(kind, JobStatus.IN_PROGRESS)
    policy = ShardPolicy(
        record.package_base, concurrency, compress, RetryPolicy(tries=tries), tolerated_failure_percentage
    )
    judged = AttemptPolicy(tolerated_failure_percentage, on_empty, in_flight=2 * WORKERS)

    def submit(shard: Shard) -> ShardFuture:
        return collect_shard_task.submit(source, opened, folder.job_id, attempt, shard.part, policy)

    with sharing(folder.job_id, attempt) as shared, shown_progress(folder.job_id, shared.progress):
        announce(folder.job_id, shared.progress)
        try:
            result = run_attempt(
                folder, record, attempt, source, submit, judged, only=redo, stop=shared.stop, progress=shared.progress
            )
        except AttemptSuperseded as error:
            raise superseded(error) from error
        except CollectError as error:
            return refused(kind, error)
    show_result(result, record.name, source.location())
    return ended(kind, result)


def _require_same(record: JobRecord, source: DataSource) -> None:
    """Raise UsageError if the source's block has come to mean another place since the job was started."""
    before, present = record.source.get("location"), source.location()
    if before != present:
        raise UsageError(
            f"The job collects from {before}, but its source block now says {present}; set it back, or start a new "
            f"job. [job={record.job_id}]"
        )


def _skipped(source: DataSource) -> State[Any]:
    message = f"The data source is {source.lifecycle.value}, so nothing was started on it. [{source.name}]"
    return State(
        type=StateType(SKIPPED_STATE.type), name=SKIPPED_STATE.name, message=message, data=SourceInactive(message)
    )


def _record(job_id: str, source: DataSource, name: str | None, query: Query, options: dict[str, Any]) -> JobRecord:
    described = {
        "name": source.name,
        "type": source.get_block_type_slug(),
        "location": source.location(),
        "block_id": str(saved(source)),
    }
    shown = name or source.name
    base = name_to_folder(f"{shown}-{job_id[:8]}")
    return JobRecord(job_id, JobKind.COLLECTION, shown, described, base, query.to_json(), options)
