"""The clock of Prefect's server: times that are compared between machines, or with times of the server, are its."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_GOOD_FOR: Final = 600.0
_NONE: Final = timedelta()
_COARSE: Final = timedelta(seconds=2)
"""The precision of the header `Date`: it has whole seconds, and the server (uvicorn) renews it once a second."""

_known: dict[str, tuple[float, timedelta]] = {}


def set_clock(client: SyncPrefectClient) -> None:
    """Measure the difference between this machine's clock and the server's, to a few seconds, every ten minutes."""
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
    """Return how far the server's clock is ahead, from the `date` that it gave between `asked` and `answered`.

    It is zero if that date is possible with equal clocks.
    """
    least, most = date - answered, date + _COARSE - asked
    return _NONE if least <= _NONE <= most else (least + most) / 2


def server_now() -> datetime:
    """Return the time by the server's clock if `set_clock` has measured it, else by this machine's clock."""
    return datetime.now(UTC) + next((ahead for _, ahead in _known.values()), timedelta())
