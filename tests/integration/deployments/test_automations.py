"""The ready automations on a real Prefect server: made, made again, and observed to act."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import State, StateType
from pydantic import SecretStr

from prefect_collect import FileSource, collect
from prefect_collect.deployments._automations import create_automations, ready_automations
from prefect_collect.errors import UsageError
from prefect_collect.runs.events import emit_status
from prefect_collect.runs.heartbeat import HEARTBEAT
from prefect_collect.runs.names import COLLECTION_FLOW, DEPLOYMENT, EXPORT_FLOW, RECOVERY_FLOW
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.threads.progress import watching
from tests import forked
from tests.integration.prefect_server import PrefectServer, running_prefect_server

pytestmark = pytest.mark.integration

CHILD = """
import sys
from pathlib import Path
from prefect_collect import collect
from prefect_collect.threads.progress import watching
from tests.integration.jobs.gated_source import GatedFiles

with watching(lambda job_id, progress: print(job_id, flush=True)):
    root, store = map(Path, sys.argv[1:])
    collect(GatedFiles(root=root, gate=root / "never", pause=600), store=store)
"""


class Receiver:
    """A small HTTP server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        kept = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                kept.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def about(self, job_id: str) -> list[dict[str, Any]]:
        """Return the bodies that were posted about that job."""
        return [body for body in self.bodies if job_id in json.dumps(body)]


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server of its own, as its automations would act on other tests' jobs."""
    with running_prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A running receiver."""
    receiving = Receiver()
    thread = threading.Thread(target=receiving.server.serve_forever, daemon=True)
    thread.start()
    yield receiving
    receiving.server.shutdown()
    thread.join()


@pytest.fixture
def recovery(prefect_server: PrefectServer) -> Iterator[UUID]:
    """The recovery deployment without a worker: its runs stay Scheduled, to be counted."""

    @flow(name=RECOVERY_FLOW)
    def recover() -> None:
        """Never run."""

    with prefect_server.used(), get_client(sync_client=True) as client:
        yield client.create_deployment(client.create_flow(recover), name=DEPLOYMENT)


def until(is_so: Callable[[], Any]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + 150
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)  # the condition is polled: the server sends no notice


def runs_of(deployment: UUID) -> int:
    """Return how many runs the deployment has."""
    with get_client(sync_client=True) as client:
        only = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        return len(client.read_flow_runs(deployment_filter=only))


def has_beaten(run_id: str) -> bool:
    """Return whether the last event of the run in progress is a heartbeat."""
    wanted = {"event": {"prefix": ["prefect.flow-run."]}, "resource": {"id": [f"prefect.flow-run.{run_id}"]}}
    with get_client(sync_client=True) as client:
        events = client._client.post("/events/filter", json={"filter": wanted}).json()["events"]
    names = [one["event"] for one in sorted(events, key=lambda one: one["occurred"])]
    return "prefect.flow-run.In progress" in names and names[-1] == HEARTBEAT


def crashed_run(name: str) -> None:
    """Make a run of the flow of that name that has crashed for Prefect."""

    @flow(name=name)
    def job() -> None:
        """Never run."""

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(job)
        client.set_flow_run_state(run.id, State(type=StateType.CRASHED, name="Crashed"), force=True)


def test_without_block_and_deployment_everything_is_left_out_and_says_why(prefect_server: PrefectServer) -> None:
    """No automation is made that could not act; the reasons name the remedy."""
    with prefect_server.used():
        made = {each.name: each for each in create_automations()}
    assert set(made) == {wanted["name"] for wanted in ready_automations()}
    why = made["prefect-collect: notify on Failed"]
    assert (why.done, why.why) == ("left out", "no notification block was named")


def test_a_webhook_is_called_once_for_a_partially_completed_job(
    prefect_server: PrefectServer, receiver: Receiver
) -> None:
    """The posted JSON is whole for any message, and its one line names the job, its source and the reason."""
    job_id, other = str(uuid4()), str(uuid4())
    message = 'It\'s "quoted", {{ 7 * 7 }}, <b>, \\ and a\nnew line: 2 of 3.'
    with prefect_server.used():
        Webhook(url=SecretStr(receiver.url)).save("ours", overwrite=True)
        create_automations("webhook/ours")
        again = {each.name: each.done for each in create_automations("webhook/ours")}
        assert again["prefect-collect: notify on Partially completed"] == "updated"
        emit_status(JobKind.EXPORT, JobStatus.SUCCESSFULLY_COMPLETED, job_id=other, name="fine")
        emit_status(
            JobKind.EXPORT, JobStatus.PARTIALLY_COMPLETED, job_id=job_id, name="docs", source="docs", message=message
        )
        until(lambda: receiver.about(job_id))
    [body] = receiver.about(job_id)
    in_a_line = message.replace("\n", "\\n")
    assert body["text"] == f"docs: Partially completed. {in_a_line}"
    assert body["event"] == "prefect-collect.export.partially-completed"
    assert (body["job_id"], body["status"], body["source"]) == (job_id, "Partially completed", "docs")
    assert body["details"]["message"] == in_a_line
    assert receiver.about(other) == []


def test_a_notification_block_sends_word_of_a_failed_job(prefect_server: PrefectServer, receiver: Receiver) -> None:
    """Subject and body name the job, its status and reason, and the command that shows more."""
    job_id = str(uuid4())
    with prefect_server.used():
        said = {"subject": "{{subject}}", "body": "{{body}}"}
        block = CustomWebhookNotificationBlock.model_validate({"name": "ours", "url": receiver.url, "json_data": said})
        block.save("ours", overwrite=True)
        create_automations("custom-webhook/ours")
        emit_status(JobKind.COLLECTION, JobStatus.FAILED, job_id=job_id, name="docs", source="docs", message="No luck.")
        until(lambda: receiver.about(job_id))
    [told] = receiver.about(job_id)
    assert told["subject"] == "Collection docs: Failed"
    assert told["body"].startswith("No luck.\n")
    assert f"prefect-collect show {job_id}" in told["body"]


@pytest.mark.parametrize("block", ["ours", "webhook/none", "nothing/ours", "secret/ours"])
def test_a_block_that_cannot_notify_is_refused(prefect_server: PrefectServer, block: str) -> None:
    """The block is refused before anything is made."""
    with prefect_server.used():
        Secret(value=SecretStr("x")).save("ours", overwrite=True)
        with pytest.raises(UsageError, match="block"):
            create_automations(block)


def test_what_a_user_switched_off_stays_off(prefect_server: PrefectServer, recovery: UUID) -> None:
    """An automation that a user switched off stays off when the automations are made again."""
    name = "prefect-collect: recover crashed jobs"
    with prefect_server.used(), get_client(sync_client=True) as client:
        create_automations()
        [made] = client.read_automations_by_name(name)
        client.pause_automation(made.id)
        create_automations()
        [again] = client.read_automations_by_name(name)
        assert (again.id, again.enabled) == (made.id, False)
        client.resume_automation(made.id)


def test_a_crashed_job_starts_recovery(prefect_server: PrefectServer, recovery: UUID) -> None:
    """A crash of either kind of job starts recovery; that of another flow does not."""
    with prefect_server.used():
        create_automations()
        before = runs_of(recovery)
        crashed_run("somebody else's flow")
        crashed_run(COLLECTION_FLOW)
        crashed_run(EXPORT_FLOW)
        until(lambda: runs_of(recovery) >= before + 2)
        assert runs_of(recovery) == before + 2


def test_a_killed_job_is_missed(prefect_server: PrefectServer, recovery: UUID, tmp_path: Path) -> None:
    """A job whose process was killed sends no more heartbeats, and recovery starts. A job that ended starts none."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "a").touch()
    with prefect_server.used():
        create_automations(lifeless_after=20)  # a job that ends quickly has ended by then on a busy machine too
        before = runs_of(recovery)
        beats: set[str] = set()

        def beating(job_id: str, _: object) -> None:
            until(lambda: has_beaten(job_id))
            beats.add(job_id)

        with watching(beating):
            short = collect(FileSource(root=tmp_path / "r"), store=tmp_path / "s")
        assert beats == {short.job_id}
        command: list[str | Path] = [sys.executable, "-c", CHILD, tmp_path / "r", tmp_path / "s"]
        child = forked.Popen(command, stdout=subprocess.PIPE, text=True, env=prefect_server.environment())
        assert child.stdout is not None
        run_id = child.stdout.readline().strip()
        until(lambda: has_beaten(run_id))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        until(lambda: runs_of(recovery) > before)
        assert runs_of(recovery) == before + 1
        create_automations()
