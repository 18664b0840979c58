"""The recovery flow: recover jobs whose process was lost."""

from __future__ import annotations

from time import monotonic, sleep
from typing import Final

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed

from prefect_collect.artifacts.snapshot import refresh_snapshot
from prefect_collect.escaping import one_line
from prefect_collect.flows.deleted_jobs import look_if_due
from prefect_collect.flows.recover_jobs import recover as recover_all
from prefect_collect.flows.registry import register
from prefect_collect.runs.leaked_slots import LEAKED_AFTER, is_suspected
from prefect_collect.runs.names import RECOVERY_FLOW

_AGAIN_AFTER: Final = 5.0


@register
@flow(
    name=RECOVERY_FLOW,
    persist_result=False,
    description="Resume jobs whose process was lost, end those that cannot continue, and start jobs whose turn it is.",
)
def recover() -> State[list[str]]:
    """Recover every job once: resume lost ones, give stopped ones their status, start queued ones whose turn it is.

    Then record the jobs whose run was deleted in Prefect, but not their evidence; that is done at most once a minute.

    Returns:
        A state whose result is what was done, a sentence each.
    """
    with get_client(sync_client=True) as client:
        done = recover_all(client)
        until = monotonic() + 2 * LEAKED_AFTER
        while is_suspected() and monotonic() < until:
            sleep(_AGAIN_AFTER)
            done += recover_all(client)
        deleted = look_if_due(client)
    refresh_snapshot()
    for line in [*done, *deleted]:
        get_run_logger().info("%s", one_line(line))
    message = f"{len(done)} jobs or queues were recovered." if done else "Nothing to do."
    if deleted:
        message += f" {len(deleted)} more jobs were deleted in Prefect, but not their evidence."
    return Completed(message=message, data=[*done, *deleted])
