"""What it means when Prefect's server cannot be talked to, or refuses what it is asked: errors of our own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import httpx
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings

from prefect_collect.errors import CollectError, PrefectError, PrefectUnavailable

P = ParamSpec("P")
R = TypeVar("R")


def mapped(call: Callable[P, R]) -> Callable[P, R]:
    """The same function, that raises PrefectUnavailable and PrefectError where Prefect's client raises its own."""

    @wraps(call)
    def calling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        # RuntimeError: what Prefect's client makes of a server that it cannot ask for its version.
        except (httpx.HTTPError, PrefectException, RuntimeError) as error:
            found = _meaning(error)
            if found is None:
                raise
            raise found from error

    return calling


def _meaning(error: BaseException) -> CollectError | None:
    """What the error means; None if it did not come from talking to the server."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, httpx.HTTPError):
        cause = cause.__cause__
    if cause is None:
        return None
    url = get_current_settings().api.url
    refused = isinstance(cause, httpx.HTTPStatusError) and 400 <= cause.response.status_code < 500
    if refused and (words := _words(cause)) is not None:
        return PrefectError(f"Prefect's server refused it: {words} [PREFECT_API_URL={url}]")
    said = " ".join(str(cause).split())
    return (PrefectError if refused else PrefectUnavailable)(
        f"Prefect's server cannot be used: {said}. Start it with `prefect server start`, or unset PREFECT_API_URL to "
        f"have one started for the command. [PREFECT_API_URL={url}]"
    )


def _words(error: httpx.HTTPError) -> str | None:
    """What the server said that it refused; None if it gave no words."""
    try:
        return str(error.response.json()["detail"])  # type: ignore[attr-defined]
    except (ValueError, KeyError, TypeError):
        return None
