"""The contract of sources, for a folder."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from prefect_collect.blocks import DataSource, FileSource
from tests.integration.sources.contract import SourceContract
from tests.integration.sources.dates import DatedPlace, DatesContract
from tests.integration.sources.places import Place

pytestmark = pytest.mark.integration


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Folder(DatedPlace):
    """A folder; who changes a file sets its time, so that no test waits for a clock to tick."""

    many = 2_500

    def __init__(self, root: Path) -> None:
        self.root = root
        self._times = count(1_700_000_000)

    def source(self) -> DataSource:
        """Return the source of the folder."""
        return FileSource(root=self.root, name="place")

    def put(self, name: str, data: bytes) -> None:
        """Write a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        at = next(self._times)
        os.utime(path, (at, at))

    def put_dated(self, name: str, at: datetime) -> dict[str, datetime | None]:
        """Write a file with that time, if the file system that the tests run on can hold it."""
        path = self.root / name
        path.write_bytes(name.encode())
        microseconds = (at - _EPOCH) // timedelta(microseconds=1)
        os.utime(path, ns=(0, microseconds * 1_000))
        if path.stat().st_mtime_ns != microseconds * 1_000:
            path.unlink()
            return {}
        return {name: self.stated(at)}

    def stated(self, at: datetime) -> datetime | None:
        """Return a file's time as the source has to state it."""
        return at

    def put_huge(self, name: str, size: int) -> None:
        """Make a sparse file."""
        with (self.root / name).open("wb") as file:
            file.truncate(size)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.root / name).unlink()


class TestFolder(SourceContract, DatesContract):
    """A folder keeps the contract."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """An empty folder."""
        (tmp_path / "root").mkdir()
        return Folder(tmp_path / "root")

    @pytest.fixture
    def dated(self, place: Folder) -> DatedPlace:
        """The same."""
        return place
