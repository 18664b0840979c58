"""What it means when Prefect's server cannot be talked to, or refuses what it is asked: errors of our own.

Prefect's server answers a refusal with ``{"detail": "…"}``, or with ``{"exception_message": "…", "exception_detail":
[{"loc": […], "msg": "…"}, …]}`` (3.8: `prefect.server.api.server`). The latter repeats the request, which may hold the
secrets of a block: of such an answer only the messages are told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import httpx
import pydantic
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings

from prefect_collect.errors import CollectError, PrefectError, PrefectUnavailable

_RAISED: Final = (httpx.HTTPError, httpx.InvalidURL, PrefectException, RuntimeError, ValueError)
"""What Prefect's client raises for a server: RuntimeError if it cannot be asked for its version, ValueError for an
answer that is no JSON, or not what was asked for."""

_MOST: Final = 300
"""Characters of the server's words that a message repeats."""

_LOCKED: Final = "set PREFECT_API_KEY, or PREFECT_API_AUTH_STRING, as the server wants it"


@contextmanager
def prefect_errors() -> Iterator[None]:
    """Raise PrefectUnavailable or PrefectError where Prefect's client raises an error of its own."""
    try:
        yield
    except _RAISED as error:
        found = prefect_error(error)
        if found is None:
            raise
        raise found from error


def prefect_error(error: BaseException) -> CollectError | None:
    """What the error means; None if it did not come from talking to Prefect's server."""
    if isinstance(error, CollectError):
        return None
    answer = _cause(error)
    url = _address()
    if answer is None:
        return _misunderstood(error, url)
    if not _is_of_prefect(answer):
        return None
    if isinstance(answer, httpx.HTTPStatusError):
        return _answered(answer.response, url)
    if isinstance(answer, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return PrefectError(
            f"The address of Prefect's server cannot be used: {_words(str(answer))}. It looks like "
            f"http://127.0.0.1:4200/api. [PREFECT_API_URL={url}]"
        )
    return PrefectUnavailable(
        f"Prefect's server cannot be used: {_words(str(answer)) or type(answer).__name__}. Start it with `prefect "
        f"server start`, or unset PREFECT_API_URL to have one started for the command. [PREFECT_API_URL={url}]"
    )


def _cause(error: BaseException) -> BaseException | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (httpx.HTTPError, httpx.InvalidURL)):
        cause = cause.__cause__
    return cause


def _is_of_prefect(error: BaseException) -> bool:
    """Whether it is Prefect's server that was asked; a data source of a user's own may speak HTTP too."""
    api = get_current_settings().api.url
    try:
        asked = str(error.request.url)  # type: ignore[attr-defined]
    except (RuntimeError, AttributeError):
        return True
    return api is None or asked.startswith(str(httpx.URL(api)))


def _address() -> str:
    """The server's address, without a password."""
    return re.sub(r"//[^/@]*@", "//", get_current_settings().api.url or "")


def _misunderstood(error: BaseException, url: str) -> CollectError | None:
    """The same of an answer with a good status that is none of Prefect's."""
    if not isinstance(error, (json.JSONDecodeError, pydantic.ValidationError)) or not _is_of_client(error):
        return None
    return PrefectError(
        f"What answers is no server of Prefect, or of a version that this one cannot talk to: the address usually "
        f"ends in /api. [PREFECT_API_URL={url}]"
    )


def _is_of_client(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).startswith("prefect.client."):
            return True
        trace = trace.tb_next
    return False


def _answered(response: httpx.Response, url: str) -> CollectError:
    status = response.status_code
    words = _said(response)
    said = words.rstrip(".") or _phrase(status)
    if status >= 500:
        return PrefectUnavailable(
            f"Prefect's server failed ({status}): {said}. See its log, and try again. [PREFECT_API_URL={url}]"
        )
    if status in (401, 403):
        return PrefectError(
            f"Prefect's server does not let you in ({status}): {said}; {_LOCKED}. [PREFECT_API_URL={url}]"
        )
    if status == 404 and words in ("", "Not Found"):
        return PrefectError(
            f"Prefect's server has no such address ({status}): it usually ends in /api. [PREFECT_API_URL={url}]"
        )
    if status < 400:
        return PrefectError(
            f"Prefect's server sends elsewhere ({status}): give the address it is at. [PREFECT_API_URL={url}]"
        )
    return PrefectError(f"Prefect's server refused it ({status}): {said}. [PREFECT_API_URL={url}]")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no words"


def _said(response: httpx.Response) -> str:
    """The server's own words, never the request that it repeats; "" if it gave none."""
    try:
        answer = response.json()
    except (ValueError, RecursionError, httpx.ResponseNotRead):
        return ""
    if not isinstance(answer, dict):
        return ""
    details = answer.get("exception_detail") or answer.get("detail")
    if isinstance(details, list):
        told = [_detail(one) for one in details[:3] if isinstance(one, dict)]
        if any(told):
            return _words("; ".join(filter(None, told)))
    elif isinstance(details, str):
        return _words(details)
    return _words(answer.get("exception_message") or answer.get("message") or "")


def _detail(one: dict[str, Any]) -> str:
    """One of a validation's messages, with the field that it is about."""
    place = one.get("loc")
    field = ".".join(str(part) for part in place[1:]) if isinstance(place, list) else ""
    message = str(one.get("msg", "")).removeprefix("Value error, ")
    return f"{field}: {message}" if field and message else message


def _words(text: object) -> str:
    """Words of another program in one line, of bounded length."""
    said = " ".join(str(text)[: 4 * _MOST].split())
    return said if len(said) <= _MOST else f"{said[: _MOST - 1]}…"
