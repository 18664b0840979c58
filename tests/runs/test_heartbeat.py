"""The heartbeats that a job's session sends in place of Prefect's own thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import Flow, flow_engine
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.flow_engine import FlowRunEngine, _send_heartbeats
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings
from prefect.states import Completed, Running

from prefect_collect import collect
from prefect_collect.runs import heartbeat
from prefect_collect.runs.heartbeat import HEARTBEAT, Heartbeats, OwnHeartbeat, heartbeat_of, users_heartbeat_setting


def frequency() -> int | None:
    """Return the setting that Prefect's engine sees."""
    return get_current_settings().flows.heartbeat_frequency


@contextmanager
def in_run(**fields: Any) -> Iterator[FlowRunContext]:
    """Enter the context of a run of the collection flow, in the order in which Prefect's engine does it."""
    run = FlowRun(id=uuid4(), flow_id=uuid4(), name="docs", state=Running(), **fields)
    with collect.task_runner.duplicate() as runner:
        context = FlowRunContext.model_construct(flow=collect, flow_run=run, task_runner=runner)
        with context:
            yield context


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the list of the events that are emitted."""
    events: list[dict[str, Any]] = []
    monkeypatch.setattr(heartbeat, "emit_event", lambda **event: events.append(event))
    return events


@pytest.mark.parametrize("fields", [{}, {"deployment_id": uuid4(), "tags": ["b", "a"]}], ids=["called", "deployed"])
def test_a_heartbeat_is_prefects(fields: dict[str, Any]) -> None:
    """The event has the resources that Prefect's own engine would give it, in its order."""
    with in_run(**fields) as context:
        engine: FlowRunEngine[Any, Any] = FlowRunEngine(flow=collect, flow_run=context.flow_run)
        resource, related = engine._build_heartbeat_event_template()
        assert heartbeat_of(context) == (resource, [dict(one.root) for one in related])


def test_prefect_starts_no_thread_for_a_job() -> None:
    """In the context that a job's flow has for the engine there is no thread that the flow's end would wait for."""
    with in_run() as context:
        engine: FlowRunEngine[Any, Any] = FlowRunEngine(flow=collect, flow_run=context.flow_run)
        before = {*threading.enumerate()}
        with _send_heartbeats(engine):
            assert {*threading.enumerate()} <= before


@pytest.mark.parametrize("seconds", [180, 45, None])
def test_the_users_setting_stays(seconds: int | None) -> None:
    """The engine sees no frequency; what the job itself starts sees the user's, and so does what follows the job."""
    with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: seconds}):
        with in_run():
            assert frequency() is None
            with users_heartbeat_setting():
                assert frequency() == seconds
            assert frequency() is None
        assert frequency() == seconds


def test_heartbeats_come_as_often_as_the_user_set(sent: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first comes at once, each other when the user's time has passed, and none after the end of the run."""
    now = [1000.0]
    monkeypatch.setattr(heartbeat, "monotonic", lambda: now[0])
    with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 45}), in_run() as context:
        beats = Heartbeats()
        for seconds, count in ((0, 1), (44, 1), (1, 2), (44, 2), (2, 3)):
            now[0] += seconds
            beats.send_if_due()
            assert len(sent) == count
        assert {event["event"] for event in sent} == {HEARTBEAT}
        assert context.flow_run is not None
        context.flow_run.state = Completed()
        now[0] += 100
        beats.send_if_due()
        assert len(sent) == 3


def test_a_heartbeat_follows_each_state(sent: list[dict[str, Any]]) -> None:
    """The event of a state would otherwise stand for a sign of life after the last heartbeat, for ever."""
    begun: State[Any] = Running(id=uuid4())
    in_progress: State[Any] = Running(id=uuid4(), name="In progress")
    with in_run():
        beats = Heartbeats(begun)
        for state, count in ((begun, 0), (in_progress, 1), (in_progress, 1), (None, 1), (Completed(id=uuid4()), 1)):
            beats.saw(state)
            assert len(sent) == count


def test_the_patches_for_prefect_are_of_this_version() -> None:
    """What docs/upstream.md would change is so in the Prefect that is installed; else our way round it can go."""
    source = Path(flow_engine.__file__).read_text(encoding="utf-8")
    patches = Path("docs/upstream.md").read_text(encoding="utf-8").split("```diff\n")[1:]
    for patch in patches:
        lines = patch.partition("\n```")[0].splitlines()[3:]
        assert "\n".join(line[1:] for line in lines if not line.startswith("+")) in source


def test_a_user_without_heartbeats_gets_none(sent: list[dict[str, Any]]) -> None:
    """With Prefect's heartbeats switched off, a job sends none."""
    with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), in_run():
        Heartbeats().send_if_due()
    assert sent == []


def test_a_flow_with_another_task_runner_leaves_the_heartbeats_to_prefect(sent: list[dict[str, Any]]) -> None:
    """Such a flow has Prefect's own thread, and the session sends nothing beside it."""

    def nothing() -> None:
        """Never called."""

    other: Flow[Any, Any] = Flow(nothing)
    run = FlowRun(id=uuid4(), flow_id=uuid4(), state=Running())
    with other.task_runner.duplicate() as runner:
        assert not isinstance(runner, OwnHeartbeat)
        with FlowRunContext.model_construct(flow=other, flow_run=run, task_runner=runner):
            Heartbeats().send_if_due()
    assert sent == []
