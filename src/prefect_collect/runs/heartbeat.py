"""Prefect's heartbeat of a job's run, which the thread of the job's session sends in place of Prefect's own thread.

Prefect's thread sleeps a second at a time, and the flow's end waits for it (3.8: `flow_engine._send_heartbeats`; see
docs/upstream.md). It is not started where the setting ``PREFECT_FLOWS_HEARTBEAT_FREQUENCY`` is empty. `OwnHeartbeat`
makes it so for the moment in which Prefect's engine looks at it: as the flow's task runner, it is entered just before,
and in no other flow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final, Self

from prefect import __version__
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, SettingsContext, get_settings_context
from prefect.events import emit_event
from prefect.events.related import tags_as_related_resources
from prefect.task_runners import ThreadPoolTaskRunner

HEARTBEAT: Final = "prefect.flow-run.heartbeat"
"""The name of Prefect's event."""


class OwnHeartbeat(ThreadPoolTaskRunner[Any]):
    """The task runner of a job's flow: in its context, Prefect starts no thread for the flow's heartbeats.

    `every` is the user's setting: the seconds between two heartbeats; None if there are to be none.
    """

    every: int | None = None
    _quiet: SettingsContext | None = None

    def __enter__(self) -> Self:
        present = get_settings_context()
        self.every = present.settings.flows.heartbeat_frequency
        self._quiet = _with_frequency(present, None)
        self._quiet.__enter__()
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        if self._quiet is not None:
            self._quiet.__exit__()
            self._quiet = None


def _with_frequency(present: SettingsContext, seconds: int | None) -> SettingsContext:
    flows = present.settings.flows.model_copy(update={"heartbeat_frequency": seconds})
    return SettingsContext(profile=present.profile, settings=present.settings.model_copy(update={"flows": flows}))


def _own() -> tuple[FlowRunContext, int] | None:
    """Return the context of the job's flow run, and the seconds between heartbeats; None if it sends none itself."""
    context = FlowRunContext.get()
    if context is None or not isinstance(context.task_runner, OwnHeartbeat) or context.task_runner.every is None:
        return None
    return context, context.task_runner.every


@contextmanager
def users_heartbeat_setting() -> Iterator[None]:
    """Give the flows and processes that a job itself starts the user's setting again."""
    own = _own()
    if own is None:
        yield
        return
    with _with_frequency(get_settings_context(), own[1]):
        yield


class Heartbeats:
    """The heartbeats of the flow run in whose context (`contextvars`) they are sent."""

    def __init__(self, state: State[Any] | None = None) -> None:
        self._last: float | None = None
        self._state_id = None if state is None else state.id

    def saw(self, state: State[Any] | None) -> None:
        """Send a heartbeat now if that state of the run is a new one, and not its last.

        Prefect's automations wait for an event of the run after a heartbeat, and the event of a state is one: without
        this, the death of a process after it would not be noticed.
        """
        if state is None or state.is_final() or state.id == self._state_id:
            return
        self._state_id, self._last = state.id, None
        self.send_if_due()

    def send_if_due(self) -> None:
        """Send a heartbeat if one is due, the first at once; none after the run's end. It waits for no server."""
        own = _own()
        if own is None:
            return
        context, every = own
        run = context.flow_run
        if run is None or (run.state is not None and run.state.is_final()):
            return  # a heartbeat that arrives after the end would count as a sign of life
        if self._last is not None and monotonic() - self._last < every:
            return
        self._last = monotonic()
        resource, related = heartbeat_of(context)
        emit_event(event=HEARTBEAT, resource=resource, related=related)  # a thread of Prefect sends it, and logs errors


def heartbeat_of(context: FlowRunContext) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return a heartbeat's resource and related ones (3.8: `FlowRunEngine._build_heartbeat_event_template`)."""
    run = context.flow_run
    if run is None:
        return {}, []
    resource = {
        "prefect.resource.id": f"prefect.flow-run.{run.id}",
        "prefect.resource.name": run.name or "",
        "prefect.version": __version__,
    }
    flow = {
        "prefect.resource.id": f"prefect.flow.{run.flow_id}",
        "prefect.resource.role": "flow",
        "prefect.resource.name": "" if context.flow is None else context.flow.name,
    }
    deployment = {
        "prefect.resource.id": f"prefect.deployment.{run.deployment_id}",
        "prefect.resource.role": "deployment",
    }
    tags = [dict(tag.root) for tag in tags_as_related_resources(set(run.tags or []))]
    return resource, [flow, *([deployment] if run.deployment_id else []), *tags]
