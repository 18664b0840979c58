"""What rclone states of files and folders, as items (https://rclone.org/rc/#operations-list)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prefect_collect.codes import Failure
from prefect_collect.connectors.errors import source_error
from prefect_collect.sources import Item

HASHES: Final = {"sha256": 32, "sha1": 20, "md5": 16}
"""The hashes of services that are compared, the strongest first, and their sizes in bytes."""

_FRACTION: Final = re.compile(r"(\.\d{6})\d*")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder of a listing."""

    name: str
    is_folder: bool
    size: int | None
    modified: datetime | None
    hash: str | None
    id: str
    created: datetime | None = None


def entries_of(answer: Any, place: str) -> list[Entry]:
    """Return the entries of an answer to ``operations/list``.

    Raise SourceError (`enumeration_failed`) if it is not one.
    """
    listed = answer.get("list") if isinstance(answer, dict) else None
    if listed is None and isinstance(answer, dict) and "list" in answer:
        return []  # as Go writes a list without entries
    if not isinstance(listed, list):
        raise source_error("enumeration_failed", "rclone's answer has no list of files", place)
    return [entry_of(one, place) for one in listed]


def entry_of(stated: Any, place: str) -> Entry:
    """Return an entry. Raise SourceError (`enumeration_failed`) if it is not an entry."""
    name = stated.get("Name") if isinstance(stated, dict) else None
    size = stated.get("Size") if isinstance(stated, dict) else None
    if not isinstance(name, str) or not name or "/" in name or not isinstance(stated.get("IsDir"), bool):
        raise source_error("enumeration_failed", "rclone's list has an entry without a name", place)
    whole = isinstance(size, int) and size >= 0
    return Entry(
        name, stated["IsDir"], size if whole else None, _time(stated.get("ModTime")), _hash(stated.get("Hashes")),
        str(stated.get("ID") or ""), _created(stated.get("Metadata")),
    )  # fmt: skip


def item_of(entry: Entry, folder: str, *, has_times: bool) -> Item:
    """Return a file of a folder ("" or "a/b/") as an item; its hash is the item's ETag."""
    path = f"{folder}{entry.name}"
    modified = entry.modified if has_times else None
    return Item(path, path, entry.size, modified, entry.hash, created=entry.created)


def twin_of(entry: Entry, folder: str, number: int, place: str) -> Item:
    """Return a file or folder whose name another one in its folder has, as an item that failed.

    rclone reads by names, and so the first alone.
    """
    path = f"{folder}{entry.name}"
    what = "folder" if entry.is_folder else "file"
    why = (
        f"Another {what} beside it has the same name, and only the first can be read; rename one of them at the "
        f"service{f' (its id there is {entry.id})' if entry.id else ''}. [{place}/{path}]"
    )
    end = "/" if entry.is_folder else ""
    size, modified = (None, None) if entry.is_folder else (entry.size, entry.modified)
    return Item(f"{path}?twin={number}{end}", f"{path}{end}", size, modified, failure=Failure("source_error", why))


def loop_of(entry: Entry, folder: str, place: str) -> Item:
    """Return a folder that leads back to a folder in which it lies, as an item that failed."""
    path = f"{folder}{entry.name}/"
    why = f"The folder leads back to one in which it lies; its files are collected there. [{place}/{path}]"
    return Item(path, path, failure=Failure("path_unsafe", why))


def stated_hash(etag: str | None) -> tuple[str, bytes] | None:
    """Return the name and the value of a hash that is an item's ETag; None for any other ETag."""
    name, _, value = (etag or "").partition(":")
    try:
        digest = bytes.fromhex(value)
    except ValueError:
        return None
    return (name, digest) if HASHES.get(name) == len(digest) else None


def _hash(hashes: Any) -> str | None:
    if not isinstance(hashes, dict):
        return None
    for name in HASHES:
        value = hashes.get(name)
        if isinstance(value, str) and stated_hash(f"{name}:{value}") is not None:
            return f"{name}:{value.lower()}"
    return None


def _created(metadata: Any) -> datetime | None:
    """Return when a file was created (``btime`` of https://rclone.org/docs/#metadata), if the service says it."""
    return _time(metadata.get("btime")) if isinstance(metadata, dict) else None


def _time(text: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
        return time.astimezone(UTC) if time.tzinfo else None
    except (TypeError, ValueError, OverflowError):
        return None
