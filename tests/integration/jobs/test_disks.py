"""Staging stores and destinations that are full or read-only, on real file systems."""

from __future__ import annotations

import errno
import os
import random
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from prefect_collect.blocks.file_source import FileSource
from prefect_collect.errors import CollectError, StoreAccessDenied, StoreFull
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import Buffer, DirectoryStore, _directory_writer, _files
from tests.support.run_attempts import attempt, check_account, export, job_rows, new_job, unsuccessful

pytestmark = pytest.mark.integration


def tree(root: Path, files: int, size: int) -> FileSource:
    """Make a source of that many files of random bytes."""
    root.mkdir()
    for n in range(files):
        (root / f"{n:03d}").write_bytes(random.Random(n).randbytes(size))
    return FileSource(name="files", root=root)


def fill(folder: Path, leave: int) -> Path:
    """Fill the file system except for about that many bytes, and return the file that fills it."""
    path = folder / "fill"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    with path.open("r+b") as file:
        file.truncate(max(0, path.stat().st_size - leave))
    return path


@pytest.mark.parametrize("size", [4_000, 900_000, 70 << 20])
def test_staging_store_fills_up(tmp_path: Path, full_disk: Path, size: int) -> None:
    """Items that do not fit on a full disk fail with disk_full, and a retry completes the job when there is space."""
    source = tree(tmp_path / "root", 8 if size > 10_000 else 600, min(size, 1 << 20))
    if size > 1 << 20:
        with (tmp_path / "root/large").open("wb") as file:
            file.truncate(size)
    store = DirectoryStore(full_disk / "store")
    folder = new_job(store, source)
    filler = fill(full_disk, 300_000)
    try:
        result = attempt(folder, source)
    except StoreFull as error:
        assert "space" in str(error)  # noqa: PT017
    else:
        check_account(folder)
        assert result.status in (JobStatus.FAILED, JobStatus.PARTIALLY_COMPLETED)
        assert "disk_full" in job_rows(folder)
        assert {row["error_code"] for row in unsuccessful(folder).values()} == {"disk_full"}
    filler.unlink()
    if size == 4_000:
        root = tmp_path / "root"
        for path in sorted(root.iterdir())[300:]:
            path.unlink()
    else:
        for path in (tmp_path / "root").iterdir():
            path.write_bytes(b"small now")
    with suppress(CollectError):
        result = attempt(folder, source)
        check_account(folder)
        assert "disk_full" not in job_rows(folder)


def test_staging_store_is_read_only(tmp_path: Path, read_only_dir: Path) -> None:
    """A store that cannot be written to is refused with one error, before anything is read."""
    source = tree(tmp_path / "root", 3, 10)
    with pytest.raises(StoreAccessDenied, match="read-only"):
        new_job(DirectoryStore(read_only_dir / "store"), source)
    with pytest.raises(StoreAccessDenied, match="read-only"):
        DirectoryStore(read_only_dir / "store").require_exclusive_creates()


def test_destination_is_full(tmp_path: Path, full_disk: Path) -> None:
    """An export to a full disk is Failed and leaves no files; a retry delivers the package when there is space."""
    source = tree(tmp_path / "root", 10, 100_000)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    attempt(folder, source)
    filler = fill(full_disk, 300_000)
    destination = DirectoryStore(full_disk / "out")
    job, result = export(folder, destination)
    assert (result.status, result.package, job_rows(job)) == (JobStatus.FAILED, None, ["disk_full"])
    assert result.counts.not_attempted == 10
    assert not list((full_disk / "out").rglob("*.zip"))
    filler.unlink()
    _, result = export(folder, destination, job=job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify(full_disk / "out/test.zip").valid


def test_destination_is_read_only(tmp_path: Path, read_only_dir: Path) -> None:
    """An export to a read-only destination is Failed, and its message says why."""
    source = tree(tmp_path / "root", 2, 10)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    attempt(folder, source)
    job, result = export(folder, DirectoryStore(read_only_dir / "out"))
    assert (result.status, job_rows(job)) == (JobStatus.FAILED, ["store_access_denied"])


@pytest.fixture
def sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores leave holes instead of zeros, and copy no other way: gigabytes of zeros are read, but not written."""

    zeros = bytes(64 << 20)

    def skip_zeros(fd: int, data: Buffer) -> None:
        size = memoryview(data).nbytes
        if zeros.startswith(data):  # compares without a copy
            os.lseek(fd, size, os.SEEK_CUR)
        else:
            _files.write_all(fd, data)

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EXDEV, "not here")

    monkeypatch.setattr(_directory_writer, "write_all", skip_zeros)
    monkeypatch.setattr(os, "copy_file_range", refuse)


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder on a tmpfs, if the system has one: its holes are read without memory that is zeroed for each page."""
    if not os.path.ismount("/dev/shm"):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.mark.usefixtures("sparse")
def test_over_4_gib(in_memory: Path) -> None:
    """A sparse file of 4.3 GB, which needs ZIP64, is collected and exported (`test_zip` verifies such a package)."""
    across = b"across the 4 GiB"
    root = in_memory / "root"
    root.mkdir()
    with (root / "huge").open("wb") as file:
        file.truncate(4_300_000_000)
        file.seek(4_294_967_290)
        file.write(across)
    (root / "small").write_text("beside it")
    source = FileSource(name="files", root=root)
    folder = new_job(DirectoryStore(in_memory / "store"), source)
    result = attempt(folder, source)
    assert (result.status, result.counts.bytes) == (JobStatus.SUCCESSFULLY_COMPLETED, 4_300_000_009)
    _, result = export(folder, DirectoryStore(in_memory / "out"))
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    with zipfile.ZipFile(in_memory / "out/test.zip") as package, (in_memory / "out/test.zip").open("rb") as bytes_of:
        huge, small = package.getinfo("test/data/huge"), package.getinfo("test/data/small")
        assert (huge.file_size, huge.compress_type) == (4_300_000_000, zipfile.ZIP_STORED)
        bytes_of.seek(huge.header_offset)
        header = bytes_of.read(30)
        bytes_of.seek(4_294_967_290 + sum(struct.unpack_from("<HH", header, 26)), os.SEEK_CUR)
        assert bytes_of.read(len(across)) == across
        assert package.read(small) == b"beside it"
