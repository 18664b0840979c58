"""Real files that change, vanish, or become readable between listing, reading and retrying."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import pytest

from prefect_collect.blocks.file_source import FileSource
from prefect_collect.collecting import enumeration
from prefect_collect.errors import CollectError
from prefect_collect.sources import Listed
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.support.capabilities import permissions_hold
from tests.support.run_attempts import attempt, check_account, held, job_rows, new_job, unsuccessful


@contextmanager
def listing(change: Callable[[Iterator[Listed]], Iterator[Listed]]) -> Iterator[None]:
    """Within this context, file sources list what `change` makes of their listing."""
    items = FileSource.items
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileSource, "items", lambda self: change(items(self)))
        yield


def test_root_is_missing(tmp_path: Path) -> None:
    """A source that cannot be listed at all is a Failed job with a row that names it; a retry lists it."""
    source = FileSource(name="gone", root=tmp_path / "root")
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.found, job_rows(folder)) == (JobStatus.FAILED, 0, ["not_found"])
    assert str(tmp_path / "root") in result.message
    (tmp_path / "root").mkdir()
    (tmp_path / "root/a").write_text("a")
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)


def test_folder_turns_readable(tmp_path: Path) -> None:
    """A folder that could not be listed is one failed item; once it can, its items replace it."""
    root = tmp_path / "root"
    (root / "closed/below").mkdir(parents=True)
    for name in ("open", "closed/1", "closed/2", "closed/below/3"):
        (root / name).write_text(name)
    (root / "closed").chmod(0)
    source = FileSource(name="files", root=root)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    with permissions_hold():
        first = attempt(folder, source)
        assert (first.counts.found, first.counts.failed) == (2, 1)
        again = attempt(folder, source)
        assert again.counts == first.counts
        (root / "closed").chmod(0o700)
        (root / "closed/below").chmod(0)
        third = attempt(folder, source)
        assert (third.counts.found, third.counts.succeeded, third.counts.failed) == (4, 3, 1)
        (root / "closed/below").chmod(0o700)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 4)
    assert held(folder).keys() == {"open", "closed/1", "closed/2", "closed/below/3"}


def test_folder_turns_readable_under_a_query(tmp_path: Path) -> None:
    """The query also applies to items found in such a folder."""
    root = tmp_path / "root"
    (root / "closed").mkdir(parents=True)
    for name in ("a.txt", "closed/1.txt", "closed/2.pdf", "closed/3.txt"):
        (root / name).write_text(name)
    (root / "closed").chmod(0)
    source = FileSource(name="files", root=root)
    folder = new_job(DirectoryStore(tmp_path / "store"), source, query={"include": ["*.txt"], "limit": 2})
    with permissions_hold():
        assert attempt(folder, source).counts.found == 2
    (root / "closed").chmod(0o700)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 2)
    assert held(folder).keys() == {"a.txt", "closed/1.txt"}


def test_folder_that_was_held_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If items of a folder were held before it became unreadable, listing it again collects none of them twice."""
    monkeypatch.setattr(enumeration, "SHARD_ITEMS", 2)
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    for name in ("a", "b/1", "b/2", "b/3", "c"):
        (root / name).write_text(name)
    source = FileSource(name="files", root=root)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)

    def breaks(items: Iterator[Listed]) -> Iterator[Listed]:
        yield from islice(items, 2)
        raise ConnectionResetError("the share went away")

    with listing(breaks):
        attempt(folder, source)
    assert held(folder).keys() == {"a", "b/1"}
    (root / "b").chmod(0)
    with permissions_hold():
        result = attempt(folder, source)
    check_account(folder)
    assert (result.counts.found, result.counts.failed) == (4, 1)
    (root / "b").chmod(0o700)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.found) == (JobStatus.SUCCESSFULLY_COMPLETED, 5)


def test_deleted_before_a_retry(tmp_path: Path) -> None:
    """An item that no longer exists when it is retried fails with not_found, and stays in the account."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_text("a")
    (root / "b").write_text("b")
    (root / "b").chmod(0)
    source = FileSource(name="files", root=root)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    with permissions_hold():
        attempt(folder, source)
    (root / "b").unlink()
    result = attempt(folder, source)
    check_account(folder)
    assert (result.counts.found, result.counts.failed) == (2, 1)
    assert unsuccessful(folder)["b"]["error_code"] == "not_found"


def test_changed_between_listing_and_reading(tmp_path: Path) -> None:
    """A file that is changed, replaced or removed after its listing fails; a retry collects it as it is then."""
    root = tmp_path / "root"
    root.mkdir()
    for name in "abcd":
        (root / name).write_text(name)

    def changing(items: Iterator[Listed]) -> Iterator[Listed]:
        yield from list(items)
        (root / "a").write_text("longer than before")
        (root / "b").unlink()
        (root / "c").unlink()
        (root / "c").mkdir()

    source = FileSource(name="files", root=root)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    with listing(changing):
        attempt(folder, source)
    check_account(folder)
    codes = {id_: row["error_code"] for id_, row in unsuccessful(folder).items()}
    assert codes == {"a": "changed_during_read", "b": "not_found", "c": "changed_during_read"}
    result = attempt(folder, source)
    check_account(folder)
    assert held(folder)["a"]["size"] == 18
    assert result.counts.succeeded == 2


def test_store_removed_while_collecting(tmp_path: Path) -> None:
    """A store that is removed during the collection causes an error of ours, or a result that adds up."""
    root = tmp_path / "root"
    root.mkdir()
    for n in range(50):
        (root / f"{n:02d}").write_text("x" * n)

    def removing(items: Iterator[Listed]) -> Iterator[Listed]:
        yield from islice(items, 25)
        shutil.rmtree(tmp_path / "store")
        yield from items

    source = FileSource(name="files", root=root)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    with listing(removing), suppress(CollectError):
        attempt(folder, source)
    again = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(again, source).counts.succeeded == 50
    check_account(again)
