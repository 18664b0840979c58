"""The contract of sources, for what lies inside files: an unpacked export, a ZIP file, and a ZIP file in a bucket."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pytest

from prefect_collect.blocks import (
    DataSource,
    FileSource,
    MboxSource,
    PurviewExportSource,
    SlackExportSource,
    VaultExportSource,
)
from prefect_collect.blocks._inside import InsideSource
from prefect_collect.connectors.foreign_exports.purview import PURVIEW
from prefect_collect.connectors.foreign_exports.slack import SLACK
from prefect_collect.connectors.foreign_exports.vault import VAULT
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.integration.connectors.s3_sources import source_at
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.dates import DatedPlace, DatesContract
from tests.integration.sources.places import LARGE, Fault, Place, broken_once_listed, failures, listed_before, patterned
from tests.integration.sources.proxied import ProxiedPlace
from tests.integration.sources.test_folder import Folder
from tests.support.mbox_bytes import mail, mbox
from tests.support.run_attempts import attempt, check_account, held, new_job

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def any_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files of any name as parts of an export: those of the contract have no list."""
    for block, layout in ((PurviewExportSource, PURVIEW), (VaultExportSource, VAULT), (SlackExportSource, SLACK)):
        of_any = replace(layout, parts=re.compile(r".*", re.DOTALL))
        monkeypatch.setattr(block, "layout", classmethod(lambda cls, of_any=of_any: of_any))


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


class InBucket(ProxiedPlace, Zipped):
    """A file in a bucket behind a proxy that breaks, which is written anew when an item is put into it."""

    cut = 60
    key: ClassVar[str]
    breaks: ClassVar[int] = 4
    """How often the connection breaks: also while the directory of a ZIP file is read."""
    block: type[InsideSource]
    proxy: FaultProxy

    def __init__(self, path: Path, server: S3Server, proxy: FaultProxy, block: type[InsideSource]) -> None:
        self.server, self.proxy, self.bucket, self.block = server, proxy, server.new_bucket(), block
        super().__init__(path)

    def source(self) -> DataSource:
        """Return the source of what lies in the file, through the proxy."""
        holder = source_at(self.server.at(self.proxy.url), self.bucket, prefix=self.key, read_timeout=10)
        return self.block(inside=holder, name="place")

    def sent(self, data: bytes) -> None:
        """Put the file into the bucket."""
        self.server.client().put_object(Bucket=self.bucket, Key=self.key, Body=data)

    def cause(self, fault: Fault, proxy: FaultProxy) -> None:
        """Cause a fault between the source and the server: every request is for the file."""
        if fault in ("listing", "item"):
            proxy.truncate_next(self.breaks, path=rf"/{self.key}")
        elif fault == "hang":
            proxy.hang_next(1_000, path=rf"/{self.key}")
        elif fault == "credentials":
            proxy.fail_next(1_000_000, status=400, code="ExpiredToken")
        else:
            super().cause(fault, proxy)


class ZippedInBucket(InBucket):
    """A ZIP file in a bucket behind a proxy that breaks."""

    key = "x.zip"

    def write(self) -> None:
        """Write the ZIP file, and put it into the bucket."""
        super().write()
        self.sent(self.path.read_bytes())


class MailInBucket(InBucket):
    """An mbox file in a bucket behind a proxy that breaks: an item is a message, whose subject is its name."""

    key = "x.mbox"
    breaks = 1

    def mbox(self) -> bytes:
        """Return the mbox file."""
        mails = (mail(number, data.hex(" ", -60).encode() + b"\n") for number, data in enumerate(self.files.values()))
        return mbox(*mails)

    def write(self) -> None:
        """Put the mbox file into the bucket."""
        self.sent(self.mbox())


class ZippedMailInBucket(MailInBucket):
    """The same in a ZIP file, as Google Vault packs mail."""

    key = "x.zip"
    breaks = 4

    def write(self) -> None:
        """Put the ZIP file with the mbox file into the bucket."""
        with zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("x.mbox", self.mbox())
        self.sent(self.path.read_bytes())


@pytest.fixture(scope="module")
def before_moto(moto: S3Server) -> Iterator[FaultProxy]:
    """A proxy that breaks."""
    with FaultProxy(moto.url) as proxy:
        yield proxy


class TestBreakingZip(BreakingContract):
    """A ZIP file in a bucket keeps the contract where connections break."""

    @pytest.fixture
    def place(self, moto: S3Server, before_moto: FaultProxy, tmp_path: Path) -> Place:
        """A ZIP file without entries."""
        return ZippedInBucket(tmp_path / "x.zip", moto, before_moto, PurviewExportSource)


class TestBreakingMbox(BreakingContract):
    """An mbox file in a bucket keeps the contract where connections break."""

    @pytest.fixture
    def place(self, moto: S3Server, before_moto: FaultProxy, tmp_path: Path) -> Place:
        """An mbox file without messages."""
        return MailInBucket(tmp_path / "x", moto, before_moto, MboxSource)

    @pytest.mark.usefixtures("streams_more")
    @pytest.mark.parametrize("size", [200_000, LARGE])
    def test_a_connection_that_breaks(self, place: Place, tmp_path: Path, size: int) -> None:
        """A message whose connection breaks within its bytes is tried again, and is whole; a large one is streamed."""
        place.put("item", patterned(size // 2))
        place.put("other", b"other")
        source = place.source()
        items = [*items_of(source)]
        folder = new_job(DirectoryStore(tmp_path / "store"), source)
        with broken_once_listed(place, "item", source, items) as listed:
            assert attempt(folder, listed).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder)
        sizes = {item.size for item in items if item.unread is None and item.size is not None}
        assert {row["size"] for row in held(folder).values()} == sizes
        assert max(sizes) >= size


class TestBreakingVault(TestBreakingMbox):
    """So does an mbox file in a ZIP file there, as Google Vault packs mail."""

    @pytest.fixture
    def place(self, moto: S3Server, before_moto: FaultProxy, tmp_path: Path) -> Place:
        """A ZIP file with an mbox file without messages."""
        return ZippedMailInBucket(tmp_path / "x.zip", moto, before_moto, VaultExportSource)


class TestBreakingSlack:
    """What of the contract reads a Slack export: the rest is said of the ZIP file that it is."""

    test_a_listing_that_is_cut = BreakingContract.test_a_listing_that_is_cut
    test_credentials_that_expire = BreakingContract.test_credentials_that_expire

    @pytest.fixture
    def place(self, moto: S3Server, before_moto: FaultProxy, tmp_path: Path) -> Place:
        """A ZIP file without entries."""
        return ZippedInBucket(tmp_path / "x.zip", moto, before_moto, SlackExportSource)
