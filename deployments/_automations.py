"""The ready automations of ``automations.yaml``, put into Prefect: who is told of what, and what sees to lost jobs."""

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
"""Seconds without any event of a running job, after a heartbeat, from which recovery looks at it."""

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
    """What came of one of the ready automations; `why` says why it was left out."""

    name: str
    done: Literal["created", "updated", "left out"]
    why: str = ""


def create_automations(
    notify_block: str | None = None, *, lifeless_after: float = LIFELESS_AFTER
) -> list[MadeAutomation]:
    """Put the ready automations into Prefect, and say what came of each.

    One that is there already, by its name, is brought up to date; whether it is switched on stays as it is. What has
    nothing to act with is left out: notifications without a block, recovery without its deployment.

    Args:
        notify_block: A saved block as TYPE/NAME: a notification block of Prefect's (slack-webhook/ops), or a webhook
            (webhook/ops), which is sent JSON.
        lifeless_after: Seconds from which a job that sends no more events is looked at; at least 10. Use more than
            twice `PREFECT_FLOWS_HEARTBEAT_FREQUENCY`.

    Raises:
        UsageError: There is no such block, or it is of another type; or `lifeless_after` is too short.
    """
    if lifeless_after < 10:
        raise UsageError(f"lifeless_after is at least 10 seconds, not {lifeless_after:g}.")
    with get_client(sync_client=True) as client:
        notify = None if notify_block is None else _notify_action(client, notify_block)
        return [_made(client, wanted, notify, lifeless_after) for wanted in ready_automations()]


def ready_automations() -> list[dict[str, Any]]:
    """The automations as ``automations.yaml`` has them."""
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
                why = f"there is no deployment {action['deployment']!r}; `prefect-collect serve` makes it"
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
        raise UsageError(f"A notification block is named as TYPE/NAME, such as slack-webhook/ops, not {block!r}.")
    try:
        document = client.read_block_document_by_name(name, block_type)
    except ObjectNotFound as error:
        raise UsageError(f"Prefect has no block {block!r}; see them with `prefect block ls`.") from error
    at = {"block_document_id": str(document.id)}
    if block_type == _WEBHOOK:
        return {"type": "call-webhook", **at, "payload": _PAYLOAD}
    if document.block_schema is None or "notify" not in document.block_schema.capabilities:
        raise UsageError(f"The block {block!r} cannot notify: it is neither a notification block nor a webhook.")
    return {"type": "send-notification", **at, "subject": _SUBJECT, "body": _BODY}
