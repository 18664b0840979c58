"""Saves a collection as a draft that was asked for in Prefect's form: its run parks itself, with an estimate."""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause

from prefect_collect.artifacts.job_page import show_status
from prefect_collect.artifacts.publish import publish_status
from prefect_collect.blocks.data_source import DataSource
from prefect_collect.errors import UsageError
from prefect_collect.flows.auto_exports import AutoExport, ensure_export
from prefect_collect.flows.draft_estimates import draft_estimate, draft_labels
from prefect_collect.flows.running_job import RunningJob
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.runs.custodian_label import custodian_labels
from prefect_collect.runs.labels import CANCELED_BY, QUEUED, label_of, set_labels
from prefect_collect.runs.session import release_session
from prefect_collect.runs.states import put_unless_canceled, state_of
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobStatus

_SAVED = "Saved, and not started yet."


def save_as_draft(
    job: RunningJob, folder: JobFolder, source: DataSource, query: Query, custodian: str, export: AutoExport | None
) -> State[Any]:
    """Put a collection into the status Drafted, with what it is expected to take on its page. Raise Pause.

    The run's parameter `as_draft` is removed after that: if the process is lost before, a start makes a draft of the
    job again, and never collects unasked. It is removed from the parameters as they are then, as a draft can be edited.

    Returns:
        The final state of a job that was canceled meanwhile.

    Raises:
        UsageError: Prefect can resume only a run that has a deployment, and this one has none.
    """
    if job.run.deployment_id is None:
        raise UsageError(
            "as_draft is for Prefect's form, and for other runs of a deployment; in Python, jobs.draft_collection "
            f"saves a draft. [job={job.job_id}]"
        )
    parameters = job.run.parameters
    expected = draft_estimate(source, query, folder.store, parameters.get("since"), job_id=job.job_id)
    state = state_of(job.kind, JobStatus.DRAFTED, _SAVED)
    with get_client(sync_client=True) as client:
        if export is not None:
            ensure_export(client, job.run, export, parameters.get("store") or "", source.name)
        custody_log.append(folder, "drafted", {"name": job.run.name, "source": source.location()})
        labels = {**draft_labels(source, expected), QUEUED: "", **custodian_labels(custodian)}
        set_labels(client, job.run.id, labels)
        is_kept = put_unless_canceled(client, job.run.id, state)
        saved = client.read_flow_run(job.run.id)
        if not is_kept or label_of(saved, CANCELED_BY):  # the user saw it In progress while its source was listed
            job.session.hear_cancel(saved)
            return job.canceled("The job was canceled before it was saved as a draft; nothing was collected.")
        client.update_flow_run(
            saved.id, parameters={name: value for name, value in saved.parameters.items() if name != "as_draft"}
        )
        release_session(job.session)
        publish_status(job.kind, JobStatus.DRAFTED, job.run, is_shown=True)
        show_status(job.heading(), JobStatus.DRAFTED, expected)
    raise Pause("The collection is a draft.", state=state)
