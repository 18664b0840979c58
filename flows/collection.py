"""The collection job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from prefect_collect.archive.item_paths import name_to_folder
from prefect_collect.artifacts.job_page import show_result, shown_progress
from prefect_collect.blocks.data_source import DataSource, identity_of, recorded_source
from prefect_collect.collecting.attempt import run_attempt
from prefect_collect.collecting.custodians import Custodians
from prefect_collect.collecting.incremental import since_options
from prefect_collect.collecting.policy import CollectionPolicy, ShardPolicy
from prefect_collect.collecting.stop_signals import send_signals
from prefect_collect.errors import UsageError
from prefect_collect.escaping import one_line
from prefect_collect.flows._job_flow import flow
from prefect_collect.flows.attempt_work import AttemptWork
from prefect_collect.flows.auto_exports import AutoExport, ensure_export, require_possible
from prefect_collect.flows.drafting import save_as_draft
from prefect_collect.flows.places import require_growing, require_places
from prefect_collect.flows.runners import require_runner, shard_runner
from prefect_collect.flows.running_job import RunningJob, block_id, forget_report, keep_log, pin_places, pin_query
from prefect_collect.flows.stores import store_of
from prefect_collect.job_folder.deleted_jobs import FLOW
from prefect_collect.job_folder.error_report_reading import reported_items
from prefect_collect.job_folder.estimates import find_estimate
from prefect_collect.job_folder.folder import (
    CUSTODIAN,
    CUSTODIAN_FOLDER,
    CUSTODIANS,
    ESTIMATE,
    JobFolder,
    JobRecord,
)
from prefect_collect.job_folder.lifecycle import claim_attempt, create_job
from prefect_collect.job_folder.long_queries import keep
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.parameters import (
    IN_THREADS,
    Concurrency,
    Custodian,
    CustodianFolder,
    CustodianPatterns,
    Hash,
    OnEmpty,
    Percentage,
    Runner,
    Since,
    Tries,
    Workers,
)
from prefect_collect.runs.names import COLLECTION_FLOW
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobKind, LifecycleStatus
from prefect_collect.threads.progress import announce
from prefect_collect.threads.retry_policy import RetryPolicy


def _run_name(parameters: Mapping[str, Any]) -> str:
    return one_line(str(parameters.get("name") or getattr(parameters.get("source"), "name", COLLECTION_FLOW)))


@flow(
    name=COLLECTION_FLOW,
    flow_run_name=_run_name,
)
def collect(
    source: DataSource,
    query: Query | dict[str, Any] | None = None,
    name: str | None = None,
    store: Block | Path | str | None = None,
    custodian: Custodian = None,
    custodian_folder: CustodianFolder = None,
    custodians: CustodianPatterns = None,
    since: Since | None = None,
    auto_export: AutoExport | None = None,
    tolerated_failure_percentage: Percentage = 100.0,
    on_empty: OnEmpty = "succeed",
    compress: bool = False,
    hashes: list[Hash] | None = None,
    tries: Tries = 5,
    concurrency: Concurrency = 128,
    runner: Runner = "auto",
    runner_address: str | None = None,
    workers: Workers = None,
    only: str | None = None,
    as_draft: bool = False,
) -> State[Any]:
    """Collect the items of a data source into a staging store, and account for every one of them.

    Args:
        source: Where to collect from: a saved data source, or a new one.
        query: Which items to collect; by default all.
        name: The job's name; by default the source's.
        store: The staging store: a directory, s3://bucket/prefix (gs://, az://), or a store block; by default under
            PREFECT_HOME.
        custodian: The person or department whose data is collected: one line of at most 200 characters; by default the
            source's.
        custodian_folder: Where each custodian has a folder, such as home/{custodian}: each item below it is that
            custodian's, and all others are the job's.
        custodians: The custodians of items by their paths: each entry has a pattern, a glob such as mail/anna/**, and a
            custodian. The first pattern that matches decides; it goes before the custodian's folder.
        since: "last": collect only items that are new or changed since the last jobs that collected this source.
        auto_export: An export to create with the collection, which starts by itself when the collection is done.
        tolerated_failure_percentage: Stop early when more than this share of the items has failed; 100 never stops.
        on_empty: How the job ends if no item matches: "succeed" (with a warning) or "fail".
        compress: Compress staged items that get smaller by it.
        hashes: Hashes to compute of every item beside SHA-256, for receivers who match by them: "md5", "sha1". They are
            in the manifest, and an export has manifests of them too.
        tries: How often to try an item that fails by a temporary error.
        concurrency: The most small items of a shard to read at once: 32 to begin with, more as long as that is faster.
        runner: Where the shards run: in threads of the job's process, in processes on all cores of its machine, or on
            a Dask or Ray cluster; "auto" begins with threads, and goes on in processes if that makes the job faster.
        runner_address: The cluster's address; by default a cluster is started on this machine for the job.
        workers: How many shards to collect at once; by default 2 threads, a process for each core (for "auto" up to
            4), or as many as the cluster has workers.
        only: For a retry: the location of an error report with the items to retry; by default all not succeeded.
        as_draft: Save the collection as a draft, with an estimate on its page, and collect nothing until it is started.

    Returns:
        A state with the documented name, whose result is the attempt's `TaskResult`.
    """
    job = RunningJob.start(JobKind.COLLECTION, source.name)
    policy = CollectionPolicy(
        tolerated_failure_percentage=tolerated_failure_percentage,
        on_empty=on_empty,
        compress=compress,
        concurrency=concurrency,
        hashes=tuple(name for name in get_args(Hash) if name in (hashes or ())),
        retry=RetryPolicy(tries=tries),
    )
    whose = Custodians(custodian or source.custodian, custodian_folder or "", custodians or ())
    options = {
        **policy.recorded(),
        **({CUSTODIAN: whose.job} if whose.job else {}),
        **({CUSTODIAN_FOLDER: whose.folder} if whose.folder else {}),
        **({CUSTODIANS: [dict(one) for one in whose.patterns]} if whose.patterns else {}),
    }

    def work() -> State[Any]:
        if source.lifecycle is not LifecycleStatus.ACTIVE:
            return job.skipped(
                f"The data source is {source.lifecycle.value}, so nothing was collected from it. [{source.name}]"
            )
        require_runner(runner, runner_address)
        opened = store_of(store)
        pin_places(job.session, store=opened.url)
        require_places(source, opened, auto_export)
        opened.require_exclusive_creates()
        folder = JobFolder(opened, job.job_id, job.who)
        if not folder.exists():
            require_possible(opened, job.job_id, auto_export, since)
            require_growing(auto_export)
        keep_log(job.session, folder)
        wanted = keep(folder, Query.of(query))
        pin_query(job.session, folder, wanted)
        if as_draft and not folder.exists():
            return save_as_draft(job, folder, source, wanted, whose.job, auto_export)
        described = recorded_source(source, block_id(job.run, "source", source))
        estimate = None if since is not None or folder.exists() else find_estimate(opened, identity_of(source), wanted)
        known = {} if estimate is None else {ESTIMATE: estimate.to_json()}
        asked = _record(folder.job_id, described, name, wanted, {**options, **known})
        # The jobs that an incremental job compares with are known only when its turn has come.
        record = create_job(folder, asked) if since is None else asked
        _require_same(folder.record() if folder.exists() else asked, source)
        job.require_allowed(folder)
        if only is not None and not folder.attempts():
            raise UsageError("only is for a retry: this job has not been run before, so there is nothing to retry.")
        redo = None if only is None else reported_items(only, folder)
        if auto_export is not None:
            with get_client(sync_client=True) as client:
                ensure_export(client, job.run, auto_export, job.run.parameters.get("store") or "", job.source)
        if not job.wait_for_turn():
            return job.canceled()
        if since is not None:
            record = create_job(folder, replace(asked, options={**options, **since_options(opened, asked)}))
        attempt = claim_attempt(folder, {FLOW: str(job.run.flow_id)})
        forget_report(job.session)
        job.begin(attempt)
        with (
            send_signals(folder.job_id, attempt, job.session.stop) as shared,
            shown_progress(folder.job_id, shared.progress, job.heading(),
                attempt=attempt, previous=folder.result()),
            shard_runner(
                runner, runner_address, workers,
                AttemptWork(source, folder, attempt, ShardPolicy(record.package_base, policy), shared),
            ) as shards,
        ):  # fmt: skip
            announce(folder.job_id, shared.progress)
            result = run_attempt(
                folder, record, attempt, source, shards.submit, policy,
                in_flight=shards.in_flight, only=redo, stop=shared.stop, progress=shared.progress,
                elsewhere=runner not in IN_THREADS,
            )  # fmt: skip
        return job.ended(result, show=lambda: _shown(result, record, source))

    return job.guarded(work)


def _shown(result: TaskResult, record: JobRecord, source: DataSource) -> bool:
    return show_result(result, record.name, source.location(), custodian=record.custodian)


def _require_same(record: JobRecord, source: DataSource) -> None:
    """Raise UsageError if the source's block was changed to another place since the job was started."""
    before, present = record.source.get("location"), source.location()
    if before != present:
        raise UsageError(
            f"The job collects from {before}, but its source block now names {present}; change it back, or start a new "
            f"job. [job={record.job_id}]"
        )


def _record(
    job_id: str, described: dict[str, Any], name: str | None, query: Query, options: dict[str, Any]
) -> JobRecord:
    shown = name or str(described["name"])
    base = name_to_folder(f"{shown}-{job_id[:8]}")
    return JobRecord(job_id, JobKind.COLLECTION, shown, described, base, query.to_json(), options)
