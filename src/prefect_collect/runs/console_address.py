"""The console's address, by which the pages in Prefect's UI link to it.

A Prefect Variable has it, so that jobs find it on whatever machine they run. A console that is started without an
address of its own choice enters the one at which it listens, and removes it at its end. An address that was chosen
(`--public-url`, the setting, or a Variable that a user has set) stays.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.client.schemas.objects import Variable
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger

from prefect_collect.escaping import one_line
from prefect_collect.pages.console_links import ConsoleLinks, is_console_address
from prefect_collect.runs.settings import CollectSettings

VARIABLE: Final = "prefect_collect_console_url"
"""The name of the Variable in Prefect."""

WHILE_SERVED: Final = "while-served"
"""The tag of a Variable that its console removes when it ends."""

_KNOWN_SECONDS: Final = 30.0
"""Seconds for which a process uses the address that it has read."""

_known: dict[str, tuple[float, ConsoleLinks | None]] = {}


def console_links() -> ConsoleLinks | None:
    """Return the links to the console; None if none is known. Never raise.

    The setting ``console_url`` comes before the Variable. A text that cannot be a console's address is ignored.
    """
    try:
        configured = CollectSettings().console_url
        if configured:
            return _links(configured)
        with get_client(sync_client=True) as client:
            server = str(client.api_url)
            at, links = _known.get(server, (None, None))
            if at is not None and monotonic() - at < _KNOWN_SECONDS:
                return links
            _known[server] = monotonic(), links  # a server that does not answer is not asked for each page
            found = client.read_variable_by_name(VARIABLE)
            links = None if found is None else _links(found.value)
            _known[server] = monotonic(), links
            return links
    except Exception as error:
        get_logger("prefect_collect").warning("The console's address is not known: %s", one_line(str(error)))
        return None


@contextmanager
def entered_address(url: str, *, is_chosen: bool) -> Iterator[str]:
    """Enter a console's address for the pages in Prefect's UI; yield why they do not link to it, "" if they do.

    An address that was not chosen is removed when the context ends. It replaces no chosen one, and is not entered if it
    is one of this machine only while Prefect's server is reached from others. Errors of Prefect's client pass through.

    Args:
        url: The address, for which `is_console_address` holds.
        is_chosen: True if the user named it; False if it is the one at which the console listens.
    """
    url = url.rstrip("/")
    with get_client(sync_client=True) as client:
        server = str(client.api_url)
        found = client.read_variable_by_name(VARIABLE)
        why = "" if is_chosen else _reason_against(url, server, found)
        if not why:
            _enter(client, found, url, [] if is_chosen else [WHILE_SERVED])
    _known.pop(server, None)
    try:
        yield why
    finally:
        _known.pop(server, None)
        if not why and not is_chosen:
            with suppress(Exception):  # the server may be gone before its console
                _remove(url)


def _links(value: object) -> ConsoleLinks | None:
    if isinstance(value, str) and is_console_address(value):
        return ConsoleLinks(value.rstrip("/"))
    get_logger("prefect_collect").warning(
        "The console's address must be as https://collect.example.org/console; no page links to it. [%s=%s]",
        VARIABLE, one_line(repr(value))[:200],
    )  # fmt: skip
    return None


def _reason_against(url: str, server: str, found: Variable | None) -> str:
    if found is not None and WHILE_SERVED not in found.tags:
        return f"they link to the one that the variable {VARIABLE} names [{one_line(str(found.value))}]"
    if _is_of_this_machine(url) and not _is_of_this_machine(server):
        return "it is reached from this machine only, and Prefect's server from others, too; see --public-url"
    return ""


def _enter(client: SyncPrefectClient, found: Variable | None, url: str, tags: list[str]) -> None:
    if found is None:
        client.create_variable(VariableCreate(name=VARIABLE, value=url, tags=tags))
    elif (found.value, list(found.tags)) != (url, tags):
        client.update_variable(VariableUpdate(name=VARIABLE, value=url, tags=tags))


def _remove(url: str) -> None:
    """Remove the address, unless another console or a user has entered another one meanwhile."""
    with get_client(sync_client=True) as client:
        found = client.read_variable_by_name(VARIABLE)
        if found is not None and found.value == url and WHILE_SERVED in found.tags:
            with suppress(ObjectNotFound):
                client.delete_variable_by_name(VARIABLE)


def _is_of_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
