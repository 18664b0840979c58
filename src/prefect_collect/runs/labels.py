"""What prefect-collect notes on a flow run: labels for values, tags for what runs are found by.

    prefect-collect.process.*   which process has the job; see `process_identity.this_process`
    prefect-collect.source      the data source's name
    prefect-collect.queued      since when the job is queued (UTC, ISO 8601); empty when it is not
    prefect-collect.lease       the lease of the slot that the job holds; empty when it holds none
    prefect-collect.left        the lease of the slot that the job gave back last, noted just before it does
    prefect-collect.beat        when the job's process last gave a sign of life (UTC, ISO 8601)
    prefect-collect.worker      whether a worker or `serve` started that process: "yes", or empty
    prefect-collect.attempt     the attempt that the job's process has claimed
    prefect-collect.resumed     how often the job was taken up again after its process was lost
    prefect-collect.canceled-by who asked to cancel it
    prefect-collect.export-made whether the export that is to follow the collection was made
    prefect-collect.export-when when an export that awaits its collection starts: "completed" or "successful"

Tags: ``collection:<source>`` or ``export:<source>``, the queue, which is also the name of the concurrency limit; and
``export-of:<job id>`` on an export.
"""

from __future__ import annotations

import threading
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from prefect_collect.escaping import one_line
from prefect_collect.job_folder.process_identity import this_process
from prefect_collect.runs.requests import sent

Labels = dict[str, bool | int | float | str]

_PREFIX: Final = "prefect-collect."
_PROCESS: Final = f"{_PREFIX}process."

SOURCE: Final = "source"
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
    """Note values on a run; the run's `updated` time, which the server keeps, moves with it."""
    label(client, run_id, labels_of(values))


def labels_of(values: dict[str, str]) -> Labels:
    """The labels that keep those values, for a run that is made with them; each is one line."""
    return {f"{_PREFIX}{name}": one_line(value) for name, value in values.items()}


def label(client: SyncPrefectClient, run_id: UUID, labels: Labels) -> None:
    """Set labels of a run; the others stay.

    The server reads all, adds these and writes all, without a lock (3.8: `models.flow_runs.update_flow_run_labels`), so
    that of two at once one may be lost. Those of one process, as its signs of life, go one after the other.
    """
    with _ONE_BY_ONE:
        answer = sent(client, "PATCH", f"/flow_runs/{run_id}/labels", labels)
        if answer is None or answer.is_error:
            client.update_flow_run_labels(run_id, labels)


def label_of(run: FlowRun, name: str) -> str:
    """What is noted on the run; "" if nothing is."""
    return str((run.labels or {}).get(f"{_PREFIX}{name}", ""))


def process_labels() -> dict[str, str]:
    """This process, as notes; `process_of` reads them."""
    return {f"process.{name}": str(value) for name, value in this_process().items() if value is not None}


def without_process() -> dict[str, str]:
    """Notes that no process has the job."""
    return dict.fromkeys(process_labels(), "")


def process_of(labels: dict[str, Any]) -> dict[str, Any]:
    """The process that a flow run's labels name; empty if none does."""
    found = {name.removeprefix(_PROCESS): value for name, value in labels.items() if name.startswith(_PROCESS)}
    numbers = {name: int(found[name]) for name in ("pid", "pid_started") if str(found.get(name, "")).isdigit()}
    return {**found, **numbers}


def is_ours(run: FlowRun) -> bool:
    """Whether this process is noted as the one that has the job."""
    return process_of(run.labels) == {name: value for name, value in this_process().items() if value is not None}


def tag(client: SyncPrefectClient, run: FlowRun, *tags: str) -> None:
    """Add tags to a run; what others put there stays."""
    missing = [name for name in tags if name not in run.tags]
    if missing:
        client.update_flow_run(run.id, tags=[*run.tags, *missing])


def export_tag(job_id: str | UUID) -> str:
    """The tag of a collection's exports."""
    return f"export-of:{job_id}"
