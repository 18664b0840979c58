"""The server's clock: what is compared between machines, or with what the server noted, is told by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Final

from prefect.client.orchestration import SyncPrefectClient

_GOOD_FOR: Final = 600.0
_known: dict[str, tuple[float, timedelta]] = {}


def set_clock(client: SyncPrefectClient) -> None:
    """Learn how far this machine's clock is from the server's, to a second; for some minutes once is enough."""
    server = str(client.api_url)
    if server in _known and monotonic() - _known[server][0] < _GOOD_FOR:
        return
    date = client.hello().headers.get("date")
    _known.clear()
    ahead = parsedate_to_datetime(date).astimezone(UTC) - datetime.now(UTC) if date else timedelta()
    # A header tells whole seconds, so a smaller difference is none.
    _known[server] = monotonic(), ahead if abs(ahead) > timedelta(seconds=2) else timedelta()


def server_now() -> datetime:
    """The time by the server's clock, if `set_clock` has learned it; else by this machine's."""
    return datetime.now(UTC) + next((ahead for _, ahead in _known.values()), timedelta())
