"""Turn the errors of Prefect's client into PrefectUnavailable (no answer) and PrefectError (a refusal).

Prefect's server answers a refusal with ``{"detail": "…"}``, or with ``{"exception_message": "…", "exception_detail":
[{"loc": […], "msg": "…"}, …]}`` (3.8: `prefect.server.api.server`). The latter repeats the request, which may hold the
secrets of a block. Therefore only the messages of such an answer are repeated.
"""

from __future__ import annotations

import json
import os
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
from prefect_collect.runs.plain_server import Misunderstood

_RAISED: Final = (httpx.HTTPError, httpx.InvalidURL, PrefectException, RuntimeError, ValueError)
"""What Prefect's client raises: RuntimeError if the server's version cannot be read, or if the server that it starts
itself does not answer; ValueError for an answer that is not JSON or not of the expected form."""

_MOST: Final = 300
"""Characters of the server's message that an error message repeats."""

_VARIABLE: Final = "PREFECT_API_URL"
_PORT: Final = 4200
"""The port of a server that was started without naming one."""

_SIGN_IN: Final = "set PREFECT_API_KEY or PREFECT_API_AUTH_STRING to what the server expects"


@contextmanager
def prefect_errors() -> Iterator[None]:
    """Raise PrefectUnavailable or PrefectError in place of an error of Prefect's client."""
    try:
        yield
    except _RAISED as error:
        found = prefect_error(error)
        if found is None:
            raise
        raise found from error


def prefect_error(error: BaseException) -> CollectError | None:
    """Return the error to raise in place of `error`; None if it did not come from a request to Prefect's server."""
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
            f"The address of Prefect's server is not valid: {_words(str(answer))}. Set one like "
            f"http://127.0.0.1:4200/api. [PREFECT_API_URL={url}]"
        )
    return PrefectUnavailable(
        f"Prefect's server does not answer: {_words(str(answer)) or type(answer).__name__}. {_how_to_go_on(url)} "
        f"[PREFECT_API_URL={url}]"
    )


def _how_to_go_on(url: str) -> str:
    """Return what to do if no server answers at that address: how it was probably started, and how to do without."""
    address = httpx.URL(url)
    port = "" if address.port in (None, _PORT) else f" --port {address.port}"
    is_here = address.host in ("127.0.0.1", "localhost", "::1")
    start = f"`prefect-collect serve{port}` (or `prefect server start{port}`)"
    if os.environ.get(_VARIABLE):
        unset = f"unset {_VARIABLE}"
        again = f"Start it again: {unset}, then {start}." if is_here else f"See that it runs there: {start}."
    else:
        unset = f"`prefect config unset {_VARIABLE}`"
        again = f"{'Start it again' if is_here else 'See that it runs there'}: `prefect server start{port}`."
    return (
        f"{again} Or go on without it, after {unset}: `show`, `jobs`, `preview`, `report` and `download` then read the "
        "staging store (--store), and other commands start a server for as long as they run."
    )


def _cause(error: BaseException) -> BaseException | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (httpx.HTTPError, httpx.InvalidURL)):
        cause = cause.__cause__
    return cause


def _is_of_prefect(error: BaseException) -> bool:
    """Return whether the request went to Prefect's server; a data source that a user wrote may use httpx too."""
    api = get_current_settings().api.url
    try:
        asked = str(error.request.url)  # type: ignore[attr-defined]
    except (RuntimeError, AttributeError):
        return True
    return api is None or asked.startswith(str(httpx.URL(api)))


def _address() -> str:
    """Return the server's address, without a password."""
    return re.sub(r"//[^/@]*@", "//", get_current_settings().api.url or "")


def _misunderstood(error: BaseException, url: str) -> CollectError | None:
    """Return the error for an answer that has a good HTTP status but is not Prefect's, or for a server that Prefect
    started itself and that did not answer in time; None if the error is of something else.
    """
    if isinstance(error, RuntimeError) and _raised_in(error, "prefect.server.api.server"):
        return PrefectUnavailable(
            f"The Prefect server that was started for this did not answer in time: {_words(str(error))}. Start one "
            f"with `prefect server start` and set PREFECT_API_URL, or allow it more seconds. "
            f"[PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS={_startup_seconds()}]"
        )
    if isinstance(error, Misunderstood):
        return not_prefect()
    if not isinstance(error, (json.JSONDecodeError, pydantic.ValidationError)) or not _raised_in(
        error, "prefect.client."
    ):
        return None
    return not_prefect()


def not_prefect() -> PrefectError:
    """Return the error for an answer that has a good HTTP status but is not Prefect's."""
    return PrefectError(
        f"What answers at this address is not a Prefect server, or is one of an incompatible version; the address "
        f"usually ends in /api. [PREFECT_API_URL={_address()}]"
    )


def _raised_in(error: BaseException, module: str) -> bool:
    """Return whether the error passed through a module whose name begins so."""
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).startswith(module):
            return True
        trace = trace.tb_next
    return False


def _startup_seconds() -> int:
    return get_current_settings().server.ephemeral.startup_timeout_seconds


def _answered(response: httpx.Response, url: str) -> CollectError:
    status = response.status_code
    words = _message_of(response)
    said = words.rstrip(".") or _phrase(status)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return PrefectUnavailable(
            f"Prefect's server is busy ({status}): {said}. Try again; if it stays so, see its log. "
            f"[PREFECT_API_URL={url}]"
        )
    if status >= 500:
        return PrefectUnavailable(
            f"Prefect's server failed ({status}): {said}. See its log, and try again. [PREFECT_API_URL={url}]"
        )
    if status in (401, 403):
        return PrefectError(f"Prefect's server denied access ({status}): {said}; {_SIGN_IN}. [PREFECT_API_URL={url}]")
    if status == 404 and words in ("", "Not Found"):
        return PrefectError(
            f"Prefect's server does not know this address ({status}): it usually ends in /api. [PREFECT_API_URL={url}]"
        )
    if status < 400:
        return PrefectError(
            f"Prefect's server redirects ({status}): set the address it redirects to. [PREFECT_API_URL={url}]"
        )
    return PrefectError(f"Prefect's server refused the request ({status}): {said}. [PREFECT_API_URL={url}]")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"


def _message_of(response: httpx.Response) -> str:
    """Return the server's message, never the request that it repeats; "" if it gave none."""
    try:
        answer = response.json()
    except (ValueError, RecursionError, httpx.ResponseNotRead):
        return ""
    if not isinstance(answer, dict):
        return ""
    details = answer.get("exception_detail") or answer.get("detail")
    if isinstance(details, list):
        messages = [_detail(one) for one in details[:3] if isinstance(one, dict)]
        if any(messages):
            return _words("; ".join(filter(None, messages)))
    elif isinstance(details, str):
        return _words(details)
    return _words(answer.get("exception_message") or answer.get("message") or "")


def _detail(one: dict[str, Any]) -> str:
    """Return one message of a failed validation, with the field that it is about."""
    place = one.get("loc")
    field = ".".join(str(part) for part in place[1:]) if isinstance(place, list) else ""
    message = str(one.get("msg", "")).removeprefix("Value error, ")
    return f"{field}: {message}" if field and message else message


def _words(text: object) -> str:
    """Return another program's text as one line of at most `_MOST` characters."""
    line = " ".join(str(text)[: 4 * _MOST].split())
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"
