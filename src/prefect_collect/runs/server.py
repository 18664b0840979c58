"""Wait for Prefect's server, for a bounded time; an interrupt ends the wait.

While a job works, SIGINT and SIGTERM cancel it; while its end is published, they raise `Interrupted` in the main
thread. Prefect's engine sets no state for an `Abort`; for any other exception it tries to, for a minute if the server
does not answer.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from math import inf
from time import monotonic, sleep
from typing import Any, Final

import httpx
from prefect.client.orchestration import get_client
from prefect.context import SettingsContext, get_settings_context
from prefect.exceptions import Abort, TerminationSignal
from prefect.logging import get_logger

from prefect_collect.runs.trouble import trouble_of

OUT_OF_REACH: Final = 900.0
"""Seconds to wait for Prefect's server when a job has ended and its end cannot be published."""

SOON: Final = 4.0
"""Seconds to wait for Prefect's server when the process was asked to end, or the job was canceled."""

_ANSWERS_WITHIN: Final = 10.0
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0)
_LONGEST: Final = 5.0
_QUIET: Final = 2
"""Pauses that are not worth a warning: a server that is busy or restarts answers after them."""

_GATEWAY: Final = (502, 503, 504)
_log = get_logger("prefect_collect")


def trying_once() -> SettingsContext:
    """Return a context in which Prefect's clients do not repeat a request that fails.

    `temporary_settings` would read and check all of Prefect's settings again (3.8), for each job.
    """
    present = get_settings_context()
    client = present.settings.client.model_copy(update={"max_retries": 0})
    return SettingsContext(profile=present.profile, settings=present.settings.model_copy(update={"client": client}))


class Unreached(Abort):
    """Prefect's server did not answer in time; the recovery flow, or the next job, publishes what is missing."""


class Interrupted(Unreached):
    """The process was asked to end while a job's end was being published."""


class Interrupts:
    """The handlers of SIGINT and SIGTERM in a job's process.

    While the job works, the first of them cancels it, as a user does in Prefect, and raises nothing: an exception could
    come while the result is written. While the job's end is published, they raise Interrupted.

    Attributes:
        number: The signal that came, or 0.
        came_late: Whether it came while the job's end was published.
    """

    def __init__(self) -> None:
        self.number = 0
        self.came_late = False
        self._ends = False
        self._before: dict[int, Any] = {}
        self._cancel: Callable[[], object] | None = None

    def watch(self, cancel: Callable[[], object]) -> None:
        """Call `cancel` from now on at the first signal, where that would raise an exception.

        Outside the main thread nothing is changed.
        """
        if threading.current_thread() is threading.main_thread():
            self._cancel = cancel
            self._take()

    def heed(self) -> bool:
        """Raise Interrupted from now on where a signal would raise another exception; return whether that is new.

        A signal that is ignored, ends the process, or only sets a flag, continues to do so. Outside the main thread
        nothing is changed.
        """
        if self._ends or threading.current_thread() is not threading.main_thread():
            return False
        self._take()
        self._ends = bool(self._before)
        return self._ends

    def relax(self) -> None:
        """End what `heed` began: a signal cancels the job again, if it is watched."""
        self._ends = False
        if self._cancel is None:
            self.restore()

    def restore(self) -> None:
        """Restore the handlers that the process had before."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, before in self._before.items():
            if signal.getsignal(number) == self._interrupt:
                signal.signal(number, before)
        self._before.clear()
        self._ends, self._cancel = False, None

    def _take(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.getsignal(number)
            if callable(before) and number not in self._before:
                self._before[number] = before
                signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: Any) -> None:
        try:
            self._before[number](number, frame)
        except (KeyboardInterrupt, TerminationSignal):
            is_first, self.number = not self.number, number
            if not self._ends:
                if not is_first or self._cancel is None:
                    raise
                self._cancel()
                return
            self.came_late = True
            message = "The process was asked to end before the job's end was published to Prefect's server."
            raise Interrupted(message) from None


Ask = Callable[[httpx.Client, float], httpx.Response]
"""Sends one request, which may be sent again, with a timeout in seconds, and returns its answer."""


def asking(method: str, path: str, body: object = None) -> Ask:
    """Return the function that sends that request by httpx alone: Prefect's client would repeat it for minutes."""

    def ask(http: httpx.Client, timeout: float) -> httpx.Response:
        return httpx.Client.send(http, http.build_request(method, path, json=body, timeout=timeout))

    return ask


HELLO: Final = asking("GET", "/hello")
"""Asks for nothing but an answer."""


def wait_for_server(job_id: str, patience: Callable[[], float], ask: Ask = HELLO) -> httpx.Response:
    """Wait until Prefect's server answers, so that a restart of the server does not lose the end of a job.

    stamina is not used: its timeout is fixed when the wait begins, and here a cancel shortens it during the wait.

    Args:
        job_id: The job's id, for messages.
        patience: Returns the seconds to wait, counted from the call; it is called again before each try.
        ask: Sends the request that is to be answered; the one that is needed next spares another one.

    Returns:
        The server's answer, which may be a refusal.

    Raises:
        Unreached: The server did not answer in that time.
    """
    began, tries, is_said = monotonic(), 0, False
    while True:
        left = began + patience() - monotonic()
        try:
            return _answer(ask, max(1.0, min(_ANSWERS_WITHIN, left)))
        except httpx.HTTPError as error:
            left = began + patience() - monotonic()
            if left <= 0:
                raise Unreached(f"Prefect's server does not answer. [job={job_id}]") from error
            is_due = tries >= _QUIET or isinstance(error, httpx.TimeoutException)
            if is_due and not is_said and left != inf:
                is_said = True
                _log.warning(
                    "Job %s waits up to %.0f s for Prefect's server, which %s. Ctrl-C or SIGTERM ends the process; the "
                    "next job, or the recovery flow, then settles the job.",
                    job_id, left, trouble_of(error),
                )  # fmt: skip
        # No pause is longer than the time that is left.
        sleep(min(left, _PAUSES[tries] if tries < len(_PAUSES) else _LONGEST))
        tries += 1


def _answer(ask: Ask, timeout: float) -> httpx.Response:
    with get_client(sync_client=True) as client:
        http: httpx.Client = client._client
        answer = ask(http, timeout)
    if answer.status_code in _GATEWAY:
        answer.raise_for_status()
    return answer
