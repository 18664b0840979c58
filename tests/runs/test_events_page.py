"""docs/events.md is made from the code, and the automations name events that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from prefect.events.schemas.automations import EventTrigger

from prefect_collect.deployments._automations import ready_automations
from prefect_collect.runs.events import EVENTS, SKIPPED
from prefect_collect.runs.names import COLLECTION_FLOW, DEPLOYMENT, EXPORT_FLOW, RECOVERY_FLOW
from prefect_collect.statuses import JobKind, job_statuses
from tools import events_page

ROOT = Path(__file__).parents[2]


def test_the_page_names_the_present_events_and_automations() -> None:
    """docs/events.md is the output of tools/events_page.py; run that after a change."""
    page = (ROOT / "docs" / "events.md").read_text()
    assert events_page.filled(page) == page


def test_every_status_has_one_event() -> None:
    """Each status of both kinds, and a skipped job, has an event of its own name."""
    assert set(EVENTS) == {(kind, status) for kind in JobKind for status in (*job_statuses(kind), SKIPPED)}
    assert len(set(EVENTS.values())) == len(EVENTS)


def test_the_automations_name_what_there_is() -> None:
    """The ready automations name events, flows and a deployment of the code, and Prefect accepts their triggers."""
    named: list[Any] = ready_automations()
    assert yaml.safe_load((ROOT / "deployments" / "automations.yaml").read_text())["automations"] == named
    for automation in named:
        trigger = EventTrigger.model_validate(automation["trigger"])
        ours = {event for event in trigger.expect if event.startswith("prefect-collect.")}
        assert ours <= set(EVENTS.values())
        if not ours:
            flows = automation["trigger"]["match_related"]["prefect.resource.name"]
            assert flows == [COLLECTION_FLOW, EXPORT_FLOW]
            assert automation["actions"][0]["deployment"] == f"{RECOVERY_FLOW}/{DEPLOYMENT}"
