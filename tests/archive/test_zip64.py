"""ZIP records: read back by Python's zipfile and by Info-ZIP."""

from __future__ import annotations

import io
import zipfile
import zlib
from datetime import UTC, datetime, timedelta, timezone

import pytest

from prefect_collect.archive.zip64 import (
    EARLIEST,
    LIMIT,
    central_record_at,
    dos_time,
    end_of_directory,
    local_header_at,
)


def whole(names: list[bytes], data: bytes, *, zip64: bool = False) -> bytes:
    """Return a ZIP file with the same data under each name."""
    body, central, crc = bytearray(), bytearray(), zlib.crc32(data)
    modified = dos_time(datetime(2024, 2, 29, 13, 14, 16, tzinfo=UTC))
    for name in names:
        central += central_record_at(name, crc, len(data), len(data), len(body), modified, zip64=zip64)
        body += local_header_at(name, crc, len(data), len(data), modified, zip64=zip64) + data
    return bytes(body + central + end_of_directory(len(names), len(central), len(body)))


@pytest.mark.parametrize("zip64", [False, True])
def test_zipfile_reads_what_is_written(zip64: bool) -> None:
    """Names, times, modes and bytes are read back, with or without ZIP64 sizes in the local header."""
    names = ["b/data/é\n%.txt", "b/data/x"]
    with zipfile.ZipFile(io.BytesIO(whole([name.encode() for name in names], b"hello", zip64=zip64))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == names
        info = archive.getinfo("b/data/x")
        assert info.date_time == (2024, 2, 29, 13, 14, 16)
        assert info.external_attr >> 16 == 0o100644
        assert archive.read("b/data/x") == b"hello"


def test_more_entries_than_16_bits() -> None:
    """From 65,535 entries on, ZIP64's end record counts them, and a reader finds as many."""
    assert [b"PK\x06\x06" in end_of_directory(count, 1, 1) for count in (65_534, 65_535)] == [False, True]
    data = whole([f"{number}".encode() for number in range(65_537)], b"")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.namelist()) == 65_537


def test_wide_fields_of_a_central_record() -> None:
    """Only the sizes and offsets that do not fit are in the ZIP64 field, in the order of the APPNOTE."""
    far = central_record_at(b"a", 0, 1, 1, LIMIT + 5, EARLIEST)
    assert far.endswith((1).to_bytes(2, "little") + (8).to_bytes(2, "little") + (LIMIT + 5).to_bytes(8, "little"))
    big = central_record_at(b"a", 0, LIMIT, LIMIT, 3, EARLIEST)
    assert big.endswith(b"\x01\x00\x10\x00" + LIMIT.to_bytes(8, "little") * 2)


def test_a_folder_is_recorded_as_one() -> None:
    """A name that ends in a slash gets a folder's attributes."""
    with zipfile.ZipFile(io.BytesIO(whole([b"b/data/"], b""))) as archive:
        info = archive.getinfo("b/data/")
        assert info.is_dir()
        assert info.external_attr == (0o040755 << 16) | 0x10


def test_times_are_utc_and_held_within_what_dos_knows() -> None:
    """A time of another zone becomes UTC; an unknown, too early or too late time gets the nearest possible."""
    at = datetime(2024, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert dos_time(at) == dos_time(datetime(2023, 12, 31, 23, 0, tzinfo=UTC))
    assert dos_time(None) == dos_time(datetime(1970, 1, 1, tzinfo=UTC)) == EARLIEST
    assert dos_time(datetime(2200, 1, 1, tzinfo=UTC)) == dos_time(datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC))
