"""The layout of Slack's exports.

https://slack.com/help/articles/220556107-How-to-read-Slack-data-exports names the files: ``users.json`` (or
``org_users.json``), ``channels.json``, ``groups.json`` (private channels), ``dms.json`` and ``mpims.json`` (direct
messages), ``canvases.json``, and for each conversation a folder with a file of each day, ``general/2024-01-31.json``. A
folder is called like its channel; that of a direct message like its id. Files that were shared stay in Slack: the
messages have links to them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from prefect_collect.codes import Failure
from prefect_collect.connectors.containers.files import File
from prefect_collect.connectors.foreign_exports.documents import Document, base_name
from prefect_collect.connectors.foreign_exports.json_arrays import elements
from prefect_collect.connectors.foreign_exports.layout import Format, Reports
from prefect_collect.connectors.foreign_exports.lists import Lists
from prefect_collect.connectors.mail import texts
from prefect_collect.sources import Item

_DAY: Final = re.compile(r"(?:.*/)?([^/]+)/(\d{4}-\d{2}-\d{2})\.json", re.DOTALL)
_CONVERSATIONS: Final = {
    "channels.json": "public channel", "groups.json": "private channel", "mpims.json": "group direct message",
    "dms.json": "direct message",
}  # fmt: skip
_USERS: Final = ("users.json", "org_users.json")
_MOST_LINKS: Final = 10_000
"""The most links of a day's file that are listed one by one."""


def _read_list(file: File, lists: Lists) -> Reports | None:
    name = base_name(file.item.path)
    if name in _USERS:
        for user in elements(file.stream()):
            lists.keep_fact("user", _text(user.get("id")), _name_of(user))
        return iter(())
    if (kind := _CONVERSATIONS.get(name)) is not None:
        lists.add(_conversations(file, kind, lists), file.item.path)
        return iter(())
    return None


def _conversations(file: File, kind: str, lists: Lists) -> Iterator[Document]:
    for one in elements(file.stream()):
        folder = _text(one.get("name")) or _text(one.get("id"))
        members = [_text(member) for member in _list(one.get("members"))]
        known = {"channel": folder, "channel_id": _text(one.get("id")), "kind": kind, "members": texts.few(members)}
        lists.keep_fact("conversation", folder, json.dumps(known))
        yield Document(folder, (), (f"folder {folder}",), known)


def _name_of(user: dict[str, Any]) -> str:
    profile = user.get("profile")
    found = profile if isinstance(profile, dict) else {}
    return _text(found.get("real_name")) or _text(user.get("real_name")) or _text(user.get("name"))


def _look(file: File, lists: Lists) -> Iterator[Item]:
    """Add a file of a conversation, and yield the links in it."""
    day = _DAY.fullmatch(file.item.path)
    if day is None and base_name(file.item.path) != "canvases.json":
        return
    if day is not None:
        lists.saw_message([f"folder {day[1]}"])
    count = 0
    for element in elements(file.stream()):
        shared = _list(element.get("files")) if day is not None else [element]
        for link in shared:
            if isinstance(link, dict):
                count += 1
                if count <= _MOST_LINKS:
                    yield _link(file, link, count)
    if count > _MOST_LINKS:
        what = f"The file has {count:,} links, of which the first {_MOST_LINKS:,} are listed one by one"
        failure = Failure("linked_file", f"{what}. [{file.item.path}]")
        yield Item(
            f"{file.item.id}!link/more",
            f"{file.item.path}/{count - _MOST_LINKS:,} more",
            elsewhere=failure,
            named_by=file.item,
        )


def _link(file: File, link: dict[str, Any], number: int) -> Item:
    id_ = _text(link.get("id"))
    name = _text(link.get("name")) or _text(link.get("title")) or id_ or f"link {number}"
    url = next((_text(link[key]) for key in ("url_private", "permalink", "url") if link.get(key)), "")
    what = (
        "The file was deleted in Slack" if link.get("mode") == "tombstone" else f"The export has only a link{_at(url)}"
    )
    named = f"{texts.shortened(name)} ({id_})" if id_ and id_ != name else texts.shortened(name)
    why = f"{what}. [{file.item.path}: {named}]"
    linked = Failure("linked_file", why)
    return Item(f"{file.item.id}!link/{number}", f"{file.item.path}/{name}", elsewhere=linked, named_by=file.item)


def _at(url: str) -> str:
    """Return the host of a URL: its path and query may give access to the file."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return f" to it, at {host}" if host else " to it, without a host"


def _describe(file: File, lists: Lists) -> dict[str, Any]:
    """Return what a day's file holds: conversation, participants, number of messages, first and last time, links."""
    day = _DAY.fullmatch(file.item.path)
    if day is None:
        return {}
    kept = lists.fact("conversation", day[1])
    found: dict[str, Any] = json.loads(kept) if kept else {"channel": day[1]}
    people: dict[str, None] = {}
    times: list[float] = []
    count = links = 0
    for message in elements(file.stream()):
        count += 1
        links += len(_list(message.get("files")))
        if len(people) < 1_000 and (user := _text(message.get("user"))):
            people[user] = None
        if (at := _time(message.get("ts"))) is not None:
            times = [min([*times, at]), max([*times, at])]
    named = (f"{name} ({user})" if (name := lists.fact("user", user)) else user for user in people)
    found |= {"day": day[2], "messages": count, "participants": texts.few(named), "links": links}
    if times:
        found |= {"first": _iso(times[0]), "last": _iso(times[-1])}
    return {name: value for name, value in found.items() if value not in ("", [], 0)}


def _time(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, str) and 0 < float(value) < 1 << 35 else None
    except ValueError:
        return None


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _text(value: object) -> str:
    return texts.storable(value)[:1_000] if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


SLACK: Final = Format(
    _read_list,
    look=_look,
    describe=_describe,
    absent="empty_channel",
    name="Slack",
    parts=_DAY,
    lists="channels.json or users.json",
)
"""Slack's exports."""
