"""The contract of sources, for what lies inside files: an unpacked export, a ZIP file, and a ZIP file in a bucket."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from prefect_collect.blocks import DataSource, FileSource, PurviewExportSource
from prefect_collect.connectors.foreign_exports.purview import PURVIEW
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.integration.connectors.s3_sources import source_at
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.dates import DatedPlace, DatesContract
from tests.integration.sources.places import Fault, Place, failures, listed_before
from tests.integration.sources.proxied import ProxiedPlace
from tests.integration.sources.test_folder import Folder
from tests.support.run_attempts import attempt, check_account, new_job

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def any_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files of any name as parts of an export: those of the contract have no list."""
    layout = replace(PURVIEW, parts=re.compile(r".*", re.DOTALL))
    monkeypatch.setattr(PurviewExportSource, "layout", classmethod(lambda cls: layout))


class Unpacked(Folder):
    """A folder as an unpacked export."""

    many = 500

    def source(self) -> DataSource:
        """Return the source of the export."""
        inside = super().source()
        assert isinstance(inside, FileSource)
        return PurviewExportSource(inside=inside, name="place")


class TestUnpacked(SourceContract, DatesContract):
    """The files of an unpacked export are those of its folder."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """An empty folder."""
        (tmp_path / "root").mkdir()
        return Unpacked(tmp_path / "root")

    @pytest.fixture
    def dated(self, place: Unpacked) -> DatedPlace:
        """The same."""
        return place


class Zipped(DatedPlace):
    """A ZIP file that is written anew when an item is put into it."""

    many = 1_200

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, bytes] = {}
        self.dates: dict[str, datetime] = {}
        self.write()

    def source(self) -> DataSource:
        """Return the source of the ZIP file."""
        return PurviewExportSource(inside=str(self.path), name="place")

    def put(self, name: str, data: bytes) -> None:
        """Write the ZIP file with one more entry, or another one of that name."""
        self.files[name] = data
        self.write()

    def put_many(self, count: int) -> None:
        """Write the ZIP file with entries ``m/00000`` and so on."""
        self.files |= {f"m/{number:05d}": b"m/%05d" % number for number in range(count)}
        self.write()

    def put_huge(self, name: str, size: int) -> None:
        """Write the ZIP file with an entry of zeros alone."""
        block = bytes(10_000_000)
        with (
            zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(name, "w", force_zip64=True) as entry,
        ):
            for at in range(0, size, len(block)):
                entry.write(block[: min(len(block), size - at)])

    def remove(self, name: str) -> None:
        """Write the ZIP file without an entry."""
        del self.files[name]
        self.write()

    def put_dated(self, name: str, at: datetime) -> dict[str, datetime | None]:
        """Write the ZIP file with one more entry of that time, or what is left of it in the bits that ZIP has for it.

        Times of ZIP have no zone, and are none of the item's.
        """
        self.dates[name] = at
        self.put(name, name.encode())
        return {name: None}

    def write(self) -> None:
        """Write the ZIP file."""
        with zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, data in self.files.items():
                entry = zipfile.ZipInfo(name)
                if (at := self.dates.get(name)) is not None:
                    entry.date_time = (1980 + at.year % 128, at.month % 16, 0, *at.timetuple()[3:6])
                archive.writestr(entry, data, zipfile.ZIP_DEFLATED)


class TestZipped:
    """What of the contract holds for a ZIP file: its entries have no times, and all change when it is written anew."""

    test_odd_names = SourceContract.test_odd_names
    test_odd_dates = DatesContract.test_odd_dates
    test_an_empty_place = SourceContract.test_an_empty_place
    test_many_items = SourceContract.test_many_items
    test_a_large_item = SourceContract.test_a_large_item
    test_an_item_of_5_gb = SourceContract.test_an_item_of_5_gb
    roomy = SourceContract.roomy

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        """A ZIP file without entries."""
        return Zipped(tmp_path / "x.zip")

    @pytest.fixture
    def dated(self, place: Zipped) -> DatedPlace:
        """The same."""
        return place


def test_a_zip_file_that_was_written_anew(tmp_path: Path) -> None:
    """Items of a ZIP file that is another one now fail, and stay failed in a retry unless they lie where they did."""
    place = Zipped(tmp_path / "x.zip")
    for name in ("a", "b"):
        place.put(name, name.encode() * 9)
    source = place.source()
    items = [*items_of(source)]
    place.put("a", b"another one")
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(folder, listed_before(source, items)).status is JobStatus.FAILED
    assert failures(folder) <= {"not_found", "changed_during_read"}
    attempt(folder, place.source())
    check_account(folder)
    assert failures(folder) <= {"not_found"}


class ZippedInBucket(ProxiedPlace, Zipped):
    """A ZIP file in a bucket behind a proxy that breaks."""

    proxy: FaultProxy

    def __init__(self, path: Path, server: S3Server, proxy: FaultProxy) -> None:
        self.server, self.proxy, self.bucket = server, proxy, server.new_bucket()
        super().__init__(path)

    def source(self) -> DataSource:
        """Return the source of the ZIP file, through the proxy."""
        holder = source_at(self.server.at(self.proxy.url), self.bucket, prefix="x.zip", read_timeout=10)
        return PurviewExportSource(inside=holder, name="place")

    def write(self) -> None:
        """Write the ZIP file, and put it into the bucket."""
        super().write()
        self.server.client().put_object(Bucket=self.bucket, Key="x.zip", Body=self.path.read_bytes())

    def cause(self, fault: Fault, proxy: FaultProxy) -> None:
        """Cause a fault between the source and the server: every request is for the ZIP file."""
        if fault in ("listing", "item"):
            proxy.truncate_next(4, path=r"/x\.zip")
        elif fault == "hang":
            proxy.hang_next(1_000, path=r"/x\.zip")
        elif fault == "credentials":
            proxy.fail_next(1_000_000, status=400, code="ExpiredToken")
        else:
            super().cause(fault, proxy)


class TestBreakingZip(BreakingContract):
    """A ZIP file in a bucket keeps the contract where connections break."""

    @pytest.fixture
    def place(self, moto: S3Server, tmp_path: Path) -> Iterator[Place]:
        """A ZIP file without entries."""
        with FaultProxy(moto.url) as proxy:
            yield ZippedInBucket(tmp_path / "x.zip", moto, proxy)
