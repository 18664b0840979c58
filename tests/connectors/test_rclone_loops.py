"""Folders of a service that lead back to one they lie in, as shortcuts of Google Drive do."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_collect.connectors.rclone.connection import Access, Connection
from prefect_collect.connectors.rclone.entries import Entry, entries_of
from prefect_collect.connectors.rclone.not_compared import NotCompared
from prefect_collect.sources import Item

_FOLDERS = {"": [("a", "A")], "a": [("b", "B")], "b": [("back", "A"), ("itself", "B"), ("c", "C")], "c": []}
"""The folders in each, by name: their names and ids."""


class _Drive:
    """The lists of a service whose folders have ids; two of them are met again below themselves."""

    place = "rclone://drive"
    root = ""
    has_times = True

    def features(self) -> None:
        """Do nothing."""

    def used(self) -> Any:
        """Return a context with a process that says nothing."""
        return nullcontext(SimpleNamespace(log_size=0, said_since=lambda _: b""))

    def describe(self) -> str:
        """Return what the service is."""
        return "a drive"

    def not_compared(self) -> NotCompared:
        """Return what counts the files."""
        return NotCompared("drive", ["md5"], True)

    def is_rewritten(self, name: str) -> bool:
        """Return False."""
        return False

    def folder(self, path: str) -> list[Entry]:
        """Return what is in a folder."""
        name = path.rstrip("/").rpartition("/")[2]
        name = {"back": "a", "itself": "b"}.get(name, name)
        stated = [{"Name": of, "IsDir": True, "Size": -1, "ID": id_} for of, id_ in _FOLDERS[name]]
        return entries_of({"list": [*stated, {"Name": "file", "IsDir": False, "Size": 1}]}, self.place)

    def entry(self, path: str) -> Entry | None:
        """Return a file or folder."""
        above, _, name = path.rstrip("/").rpartition("/")
        return next((one for one in self.folder(above) if one.name == name), None)


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> Connection:
    """A connection to that service."""
    made = Connection(Access("drive", "", "rclone://drive"))
    monkeypatch.setattr(made, "_remote", _Drive())
    return made


def test_loops_at_a_retry(drive: Connection) -> None:
    """A folder that leads back fails at a retry as in a listing, and so does one in a folder that is listed anew."""
    fresh = {one.id: one for one in drive.items() if isinstance(one, Item)}
    loops = {"a/b/back/", "a/b/itself/"}
    assert {id_ for id_, one in fresh.items() if one.failure} == loops
    for id_ in loops:
        assert [*drive.relist(Item(id_, id_))] == [fresh[id_]]
    again = [one for one in drive.relist(Item("a/b/", "a/b/")) if isinstance(one, Item)]
    assert {one.id: one.failure for one in again} == {
        id_: one.failure for id_, one in fresh.items() if id_.startswith("a/b/")
    }
