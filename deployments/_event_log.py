"""Print a line for each new status of a job while `serve` runs, from Prefect's events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from prefect.events import Event
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.logging import get_logger

from prefect_collect.pages.text import job_title
from prefect_collect.runs.events import RESOURCE

_AGAIN_AFTER = 5.0
_log = get_logger("prefect_collect")


async def log_events(say: Callable[[str], None]) -> None:
    """Pass each event of a job to `say` as a line, until canceled; connect again if the server does not answer."""
    started = datetime.now().astimezone()
    while True:
        only = EventFilter(event=EventNameFilter(prefix=["prefect-collect."]))
        try:
            async with get_events_subscriber(filter=only, reconnect_on_clean_close=True) as events:
                async for event in events:
                    if event.occurred >= started and event.resource.id.startswith(f"{RESOURCE}."):
                        say(_line(event))
        except Exception as error:
            _log.debug("The event feed does not answer: %s: %s", type(error).__name__, error)
        await asyncio.sleep(_AGAIN_AFTER)


def _line(event: Event) -> str:
    about = event.resource
    job = job_title(str(about.get("prefect-collect.kind")), str(about.name))
    job_id = about.id.rpartition(".")[2]
    message = " ".join(str(event.payload.get("message") or "").split())
    line = f"{job} ({job_id}): {about.get('prefect-collect.status')}"
    return f"{line}. {message}" if message else f"{line}."
