"""The labels and tags of a job's flow run: labels hold values, tags are what runs are searched by.

    prefect-collect.process.*   the process that runs the job; see `process_identity.this_process`
    prefect-collect.source      the data source's name
    prefect-collect.location    where the source of a draft is, without secrets
    prefect-collect.expected    what a draft is expected to take, or why that is not known, as a sentence
    prefect-collect.custodian   the person or department whose data is collected; empty if it is not known
    prefect-collect.queued      when the job was queued (UTC, ISO 8601); empty if it is not queued
    prefect-collect.lease       the lease of the slot that the job holds; empty if it holds none
    prefect-collect.left        the lease of the slot that the job gave back last, set just before it gives it back
    prefect-collect.beat        the last sign of life of the job's process (UTC, ISO 8601)
    prefect-collect.worker      "yes" if a worker or `serve` started that process, else empty
    prefect-collect.attempt     the attempt that the job's process has claimed
    prefect-collect.resumed     how often the job was resumed after its process was lost
    prefect-collect.canceled-by the user who asked to cancel it
    prefect-collect.export-made whether the export that is to follow the collection was made
    prefect-collect.export-when when an export that awaits its collection starts: "completed" or "successful"

Tags: ``collection:<source>`` or ``export:<source>`` is the job's queue and the name of its concurrency limit;
``export-of:<job id>`` marks the exports of a collection.
"""

from __future__ import annotations

import threading
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from prefect_collect.escaping import one_line
from prefect_collect.job_folder.process_identity import this_process
from prefect_collect.runs.custodian_label import PREFIX
from prefect_collect.runs.requests import sent
from prefect_collect.runs.server import Ask, asking

Labels = dict[str, bool | int | float | str]

_PROCESS: Final = f"{PREFIX}process."

SOURCE: Final = "source"
LOCATION: Final = "location"
EXPECTED: Final = "expected"
QUEUED: Final = "queued"
LEASE: Final = "lease"
LEFT: Final = "left"
RESUMED: Final = "resumed"
CANCELED_BY: Final = "canceled-by"
EXPORT_MADE: Final = "export-made"
EXPORT_WHEN: Final = "export-when"
BEAT: Final = "beat"
ATTEMPT: Final = "attempt"
WORKER: Final = "worker"


_ONE_BY_ONE: Final = threading.Lock()


def set_labels(client: SyncPrefectClient, run_id: UUID, values: dict[str, str]) -> None:
    """Set labels of a run by their short names; the server then also advances the run's `updated` time."""
    label(client, run_id, labels_of(values))


def label_run(client: SyncPrefectClient, run: FlowRun, values: dict[str, str]) -> None:
    """Set labels of a run by their short names, in Prefect and in the one at hand."""
    set_labels(client, run.id, values)
    run.labels = {**(run.labels or {}), **labels_of(values)}


def labels_of(values: dict[str, str]) -> Labels:
    """Return the labels that hold those values, each as one line of text, to create a run with."""
    return {f"{PREFIX}{name}": one_line(value) for name, value in values.items()}


def label(client: SyncPrefectClient, run_id: UUID, labels: Labels) -> None:
    """Set labels of a run, and keep its other labels.

    The server reads all labels, adds these and writes all, without a lock (3.8:
    `models.flow_runs.update_flow_run_labels`), so that one of two concurrent updates may be lost. Therefore one process
    sends its updates one after the other.
    """
    with _ONE_BY_ONE:
        answer = sent(client, "PATCH", f"/flow_runs/{run_id}/labels", labels)
        if answer is None or answer.is_error:
            client.update_flow_run_labels(run_id, labels)


def asking_to_label(run_id: UUID, labels: Labels) -> Ask:
    """Return the function that asks once to set labels, one after the other as `label` does."""
    ask = asking("PATCH", f"/flow_runs/{run_id}/labels", labels)

    def ask_alone(http: httpx.Client, timeout: float) -> httpx.Response:
        with _ONE_BY_ONE:
            return ask(http, timeout)

    return ask_alone


def label_of(run: FlowRun, name: str) -> str:
    """Return the value of the run's label of that short name; "" if it has none."""
    return str((run.labels or {}).get(f"{PREFIX}{name}", ""))


def process_labels() -> dict[str, str]:
    """Return the values of the labels that name this process; `process_of` reads them."""
    return {f"process.{name}": str(value) for name, value in this_process().items() if value is not None}


def without_process() -> dict[str, str]:
    """Return the values that clear the labels of a process."""
    return dict.fromkeys(process_labels(), "")


def process_of(labels: dict[str, Any]) -> dict[str, Any]:
    """Return the process that a flow run's labels name; empty if they name none."""
    found = {name.removeprefix(_PROCESS): value for name, value in labels.items() if name.startswith(_PROCESS)}
    numbers = {name: int(found[name]) for name in ("pid", "pid_started") if str(found.get(name, "")).isdigit()}
    return {**found, **numbers}


def is_ours(run: FlowRun) -> bool:
    """Return whether the run's labels name this process as the one that runs the job."""
    return process_of(run.labels) == {name: value for name, value in this_process().items() if value is not None}


def tag(client: SyncPrefectClient, run: FlowRun, *tags: str) -> None:
    """Add tags to a run, in Prefect and in the one at hand, and keep its other tags."""
    missing = [name for name in tags if name not in run.tags]
    if missing:
        client.update_flow_run(run.id, tags=[*run.tags, *missing])
        run.tags = [*run.tags, *missing]


def export_tag(job_id: str | UUID) -> str:
    """Return the tag of a collection's exports."""
    return f"export-of:{job_id}"
