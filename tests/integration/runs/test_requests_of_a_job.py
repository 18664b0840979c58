"""How many requests a small job makes to Prefect's server, each of which costs the server 15 ms of processor time."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType

from prefect_collect import FileSource, collect, export
from prefect_collect.artifacts.snapshot import refresh_snapshot
from prefect_collect.flows.block_references import saved
from prefect_collect.flows.running_job._ownership import for_engine, new_run
from prefect_collect.runs.queries import OPEN, flow_runs, job_flows
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration

OF_BOTH: Final = {
    # Prefect's engine: the run, its policy, its first and its last state, and the run before it calls the flow.
    "POST /flow_runs/": 1,
    "PATCH /flow_runs/ID": 1,
    "POST /flow_runs/ID/set_state": 3,  # Running, In progress, the final state
    "GET /flow_runs/ID": 4,  # the engine; twice at the end, before it is published and after; once it is set
    "GET /flow_run_states/": 2,  # was it canceled before it started, and before it was In progress?
    "PATCH /flow_runs/ID/labels": 5,  # queued, its lease, its attempt, its result, its end
    "POST /flow_runs/filter": 4,  # lost jobs (2), the queue before and after
    "GET /v2/concurrency_limits/NAME": 1,
    "POST /v2/concurrency_limits/increment-with-lease": 1,
    "POST /v2/concurrency_limits/leases/ID/renew": 1,
    "POST /v2/concurrency_limits/decrement-with-lease": 1,
    "POST /artifacts/": 2,  # its progress and its page
    "POST /artifacts/filter": 1,
}
OF_COLLECTION: Final = {
    "POST /block_documents/": 1,
    "POST /flow_runs/filter": 1,  # the exports that wait for it
}
OF_EXPORT: Final = {
    "GET /flow_runs/ID": 1,  # its collection
    "GET /block_documents/ID": 1,  # its collection's source
    "PATCH /flow_runs/ID": 1,  # the tag of its queue
    "PATCH /flow_runs/ID/labels": 1,  # its source
}
OF_A_TIME: Final = {
    "GET /variables/name/prefect_collect_console_url": 1,
    "GET /hello": 1,
}
"""What a process asks anew after a time, in any job: the console's address (30 s), the clock (10 min)."""


class Requests:
    """Counts the requests of this process to a server, by method and kind of path, until `seconds` after its start."""

    def __init__(self, server: PrefectServer) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0
        self._begun = time.monotonic()
        self._server, self._lock = server.url, threading.Lock()

    def note(self, request: httpx.Request, answer: httpx.Response) -> None:
        """Count a request to the server; none of Prefect's logs, and none that is repeated as SQLite was busy."""
        url = str(request.url)
        path = url.removeprefix(self._server).partition("?")[0]
        if path == url or path == "/logs/" or answer.status_code == 503:
            return
        path = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", path)
        path = re.sub(r"/(slug|checksum)/.*", r"/\1/NAME", path)
        path = re.sub(r"(/v2/concurrency_limits)/(collection|export)(:|%3A).*", r"\1/NAME", path)
        with self._lock:
            self.counts[f"{request.method} {path}"] += 1
            self.seconds = time.monotonic() - self._begun

    def beyond(self, *bounds: dict[str, int]) -> dict[str, int]:
        """Return the requests beyond these bounds, and beyond what a job adds for the time that it took."""
        of_a_slow_one = {
            "GET /flow_runs/ID": 5 + int(self.seconds / 2),  # its session looks every 2 s
            "PATCH /artifacts/ID": 10 + int(self.seconds),  # its progress is shown every second
            "POST /artifacts/filter": 1,
            "POST /artifacts/": 1,  # its page in progress
        }
        return dict(self.counts - sum(map(Counter, (*bounds, of_a_slow_one)), Counter[str]()))


@contextmanager
def counted(server: PrefectServer, patch: pytest.MonkeyPatch) -> Iterator[Requests]:
    """Yield the counts of the requests that are sent in this context, by all threads."""
    requests, send, asend = Requests(server), httpx.Client.send, httpx.AsyncClient.send

    def sending(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        answer = send(self, request, **options)
        requests.note(request, answer)
        return answer

    async def asending(self: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        answer = await asend(self, request, **options)
        requests.note(request, answer)
        return answer

    with patch.context() as within:
        within.setattr(httpx.Client, "send", sending)
        within.setattr(httpx.AsyncClient, "send", asending)
        yield requests


def forget_left_jobs() -> None:
    """Delete what other tests have left under way, which each job would look at."""
    only = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN)))
    with get_client(sync_client=True) as client:
        for run in [*flow_runs(client, only, flows=job_flows())]:
            client.delete_flow_run(run.id)


def test_a_small_job_makes_few_requests(
    prefect_server: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection and an export in a warm process make no more requests than these, of each kind."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "a").write_text("a")

    def source() -> FileSource:
        return FileSource(root=tmp_path / "r")

    with prefect_server.used():
        forget_left_jobs()
        before = collect(source(), store=tmp_path / "s")
        export(before.job_id, tmp_path / "before", store=tmp_path / "s")
        refresh_snapshot()  # what it costs depends on how many jobs there are: it takes a share of the time
        monkeypatch.setattr("prefect_collect.artifacts.snapshot._rests", {str(prefect_server.url) + "/": float("inf")})
        with counted(prefect_server, monkeypatch) as collecting:
            collected = collect(source(), store=tmp_path / "s")
        for known in ("runs.console_address._known", "runs.server_clock._known"):
            monkeypatch.setattr(f"prefect_collect.{known}", {})  # their time is over: the export asks anew
        with counted(prefect_server, monkeypatch) as exporting:
            export(collected.job_id, tmp_path / "after", store=tmp_path / "s")
    assert collecting.beyond(OF_BOTH, OF_COLLECTION, OF_A_TIME) == {}
    assert exporting.beyond(OF_BOTH, OF_EXPORT, OF_A_TIME) == {}


class RemovedSource(FileSource):
    """A data source whose type is removed in Prefect."""

    _block_type_name = "Removed Source"
    _block_type_slug = "removed-source"


def test_what_was_removed_in_prefect_is_made_again(prefect_server: PrefectServer, tmp_path: Path) -> None:
    """A process remembers the ids of flows and of types of blocks, and asks again for those that were deleted."""
    used: Flow[[], None] = Flow(lambda: None, name=f"removed {uuid4()}")
    with prefect_server.used(), get_client(sync_client=True) as client:
        first, same = new_run(used, {}), new_run(used, {})
        client.delete_flow(first.flow_id)
        again = new_run(used, {})
        assert first.flow_id == same.flow_id != again.flow_id
        for run in (first, same, again):
            assert for_engine(used, run) is used  # it has no name of ours, so Prefect names it
        known = saved(RemovedSource(root=tmp_path))
        removed = client.read_block_document(known).block_type_id
        client.delete_block_type(removed)
        document = client.read_block_document(saved(RemovedSource(root=tmp_path)))
        assert document.block_type_id != removed
        assert document.data["root"] == str(tmp_path)
        twice = client.read_block_document(saved(RemovedSource(root=tmp_path)))
        assert (twice.block_type_id, twice.data, twice.is_anonymous) == (
            document.block_type_id, document.data, True
        )  # fmt: skip
