"""Create the ready automations of ``automations.yaml`` in Prefect: notifications, and the recovery of lost jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import Any, Final, Literal
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from prefect_collect.errors import UsageError

LIFELESS_AFTER: Final = 600.0
"""Seconds without an event of a running job after a heartbeat; then the recovery flow checks the job."""

_WEBHOOK: Final = "webhook"
_SUBJECT: Final = '{{ event.resource["prefect-collect.kind"] | capitalize }} {{ event.resource.name }}: ' + (
    '{{ event.resource["prefect-collect.status"] }}'
)
_BODY: Final = """{{ event.payload.message }}

Data source: {{ event.resource["prefect-collect.source"] }}
Error report: {{ event.payload.report }}
Look: prefect-collect show {{ event.resource.id.split(".")[-1] }}
"""
_PAYLOAD: Final = """{
  "text": {{
    (event.resource.name ~ ": " ~ event.resource["prefect-collect.status"] ~ ". " ~ event.payload.message) | tojson
  }},
  "event": {{ event.event | tojson }},
  "job_id": {{ event.resource.id.split(".")[-1] | tojson }},
  "kind": {{ event.resource["prefect-collect.kind"] | tojson }},
  "name": {{ event.resource.name | tojson }},
  "status": {{ event.resource["prefect-collect.status"] | tojson }},
  "source": {{ event.resource["prefect-collect.source"] | tojson }},
  "details": {{ event.payload | tojson }}
}"""


@dataclass(frozen=True, slots=True)
class MadeAutomation:
    """What was done with one of the ready automations; `why` is the reason if it was left out."""

    name: str
    done: Literal["created", "updated", "left out"]
    why: str = ""


def create_automations(
    notify_block: str | None = None, *, lifeless_after: float = LIFELESS_AFTER
) -> list[MadeAutomation]:
    """Create the ready automations in Prefect, and return what was done with each.

    An automation that exists by its name is updated, and stays enabled or disabled. Notifications are left out if no
    block is named, and recovery if its deployment is missing.

    Args:
        notify_block: A saved block as TYPE/NAME: a notification block of Prefect (slack-webhook/ops), or a webhook
            (webhook/ops), which gets JSON.
        lifeless_after: Seconds without events after which a job is checked; at least 10. Use more than twice
            `PREFECT_FLOWS_HEARTBEAT_FREQUENCY`.

    Raises:
        UsageError: There is no such block, or it cannot notify; or `lifeless_after` is too short.
    """
    if lifeless_after < 10:
        raise UsageError(f"lifeless_after must be at least 10 seconds, not {lifeless_after:g}.")
    with get_client(sync_client=True) as client:
        notify = None if notify_block is None else _notify_action(client, notify_block)
        return [_made(client, wanted, notify, lifeless_after) for wanted in ready_automations()]


def ready_automations() -> list[dict[str, Any]]:
    """Return the automations of ``automations.yaml``."""
    import yaml  # type: ignore[import-untyped]

    text = files("prefect_collect.deployments").joinpath("automations.yaml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = yaml.safe_load(text)["automations"]
    return found


def _made(
    client: SyncPrefectClient, wanted: dict[str, Any], notify: dict[str, Any] | None, lifeless_after: float
) -> MadeAutomation:
    name: str = wanted["name"]
    actions = []
    for action in wanted["actions"]:
        if action["type"] == "notify":
            if notify is None:
                return MadeAutomation(name, "left out", "no notification block was named")
            actions.append(notify)
        else:
            deployment = _deployment(client, action["deployment"])
            if deployment is None:
                why = f"there is no deployment {action['deployment']!r}; `prefect-collect serve` creates it"
                return MadeAutomation(name, "left out", why)
            actions.append({"type": action["type"], "deployment_id": str(deployment)})
    trigger = dict(wanted["trigger"])
    if trigger["posture"] == "Proactive":
        trigger["within"] = timedelta(seconds=lifeless_after)
    return _put(client, AutomationCore.model_validate({**wanted, "trigger": trigger, "actions": actions}))


def _put(client: SyncPrefectClient, automation: AutomationCore) -> MadeAutomation:
    present = client.read_automations_by_name(automation.name)
    if not present:
        client.create_automation(automation)
        return MadeAutomation(automation.name, "created")
    newest = present[0]
    client.update_automation(newest.id, automation.model_copy(update={"enabled": newest.enabled}))
    return MadeAutomation(automation.name, "updated")


def _deployment(client: SyncPrefectClient, name: str) -> UUID | None:
    try:
        return client.read_deployment_by_name(name).id
    except ObjectNotFound:
        return None


def _notify_action(client: SyncPrefectClient, block: str) -> dict[str, Any]:
    block_type, _, name = block.partition("/")
    if not block_type or not name:
        raise UsageError(f"Name a notification block as TYPE/NAME, such as slack-webhook/ops, not {block!r}.")
    try:
        document = client.read_block_document_by_name(name, block_type)
    except ObjectNotFound as error:
        raise UsageError(f"Prefect has no block {block!r}; list them with `prefect block ls`.") from error
    at = {"block_document_id": str(document.id)}
    if block_type == _WEBHOOK:
        return {"type": "call-webhook", **at, "payload": _PAYLOAD}
    if document.block_schema is None or "notify" not in document.block_schema.capabilities:
        raise UsageError(f"The block {block!r} cannot notify: it is neither a notification block nor a webhook.")
    return {"type": "send-notification", **at, "subject": _SUBJECT, "body": _BODY}
