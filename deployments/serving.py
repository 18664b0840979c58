"""One process that runs everything for one machine: collections, exports and recovery."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

import httpx
from prefect.client.orchestration import get_client
from prefect.logging import get_logger
from prefect.runner import Runner

from prefect_collect.deployments._deployed import served_deployments
from prefect_collect.flows import collect, export
from prefect_collect.flows._forms import register_blocks
from prefect_collect.flows._recovering import recover

LOOK_EVERY: Final = 1.0
"""Seconds between looks for runs that are due."""

RECOVER_EVERY: Final = 5.0
"""Seconds between looks for jobs whose process is lost."""

_log = get_logger("prefect_collect")


def serve(limit: int = 4) -> None:
    """Run the jobs of the deployments, up to `limit` at once, until the process is asked to end.

    Before the first one, and from then on every few seconds, jobs whose process was lost are seen to.
    """
    register_blocks(collect, export)
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(over,), name="recovery", daemon=True)
    _recover_once()
    keeper.start()
    try:
        asyncio.run(_run(limit))
    finally:
        over.set()
        keeper.join()


async def _run(limit: int) -> None:
    runner: Any = Runner(name="prefect-collect", limit=limit, query_seconds=LOOK_EVERY, pause_on_shutdown=False)
    for deployment in served_deployments():
        await runner.aadd_deployment(deployment)
    await runner.start()


def _keep(over: threading.Event) -> None:
    while not over.wait(RECOVER_EVERY):
        _recover_once()


def _recover_once() -> None:
    try:
        with get_client(sync_client=True) as client:
            for line in recover(client):
                _log.info("%s", line)
    except httpx.TransportError as error:
        _log.warning("Prefect's server does not answer: %s", error)
    except Exception:
        # Whatever is wrong with one job now, the others are to be seen to the next time.
        _log.exception("Not all jobs could be seen to")
