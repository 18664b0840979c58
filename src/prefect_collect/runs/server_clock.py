"""The server's clock: what is compared between machines, or with what the server noted, is told by it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Final

from prefect.client.orchestration import SyncPrefectClient

_GOOD_FOR: Final = 600.0
_NONE: Final = timedelta()
_COARSE: Final = timedelta(seconds=2)
"""A header tells whole seconds, and the server (uvicorn) renews it once a second."""

_known: dict[str, tuple[float, timedelta]] = {}


def set_clock(client: SyncPrefectClient) -> None:
    """Learn how far this machine's clock is from the server's, to some seconds; for some minutes once is enough."""
    server = str(client.api_url)
    if server in _known and monotonic() - _known[server][0] < _GOOD_FOR:
        return
    asked = datetime.now(UTC)
    date = client.hello().headers.get("date")
    answered = datetime.now(UTC)
    _known.clear()
    _known[server] = (
        monotonic(),
        _ahead(parsedate_to_datetime(date).astimezone(UTC), asked, answered) if date else _NONE,
    )


def _ahead(date: datetime, asked: datetime, answered: datetime) -> timedelta:
    """How far the server's clock is ahead: nothing, if that explains the date that it gave between the two times."""
    least, most = date - answered, date + _COARSE - asked
    return _NONE if least <= _NONE <= most else (least + most) / 2


def server_now() -> datetime:
    """The time by the server's clock, if `set_clock` has learned it; else by this machine's."""
    return datetime.now(UTC) + next((ahead for _, ahead in _known.values()), timedelta())
