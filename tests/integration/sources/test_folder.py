"""The contract of sources, for a folder."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest

from prefect_collect.blocks import DataSource, FileSource
from tests.integration.sources.contract import SourceContract
from tests.integration.sources.places import Place

pytestmark = pytest.mark.integration


class Folder(Place):
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

    def put_huge(self, name: str, size: int) -> None:
        """Make a sparse file."""
        with (self.root / name).open("wb") as file:
            file.truncate(size)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.root / name).unlink()


class TestFolder(SourceContract):
    """A folder keeps the contract."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """An empty folder."""
        (tmp_path / "root").mkdir()
        return Folder(tmp_path / "root")
