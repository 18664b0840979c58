"""Sources that contain their staging store: the store's content is never collected."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.blocks import FileSource
from prefect_collect.codes import Failure
from prefect_collect.collecting.incremental import since_options
from prefect_collect.errors import InvalidLocation
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.sources import Item
from prefect_collect.sources.listing import relisted
from prefect_collect.sources.overlaps import outside, require_collectable, require_destination
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore, Lies, S3Store, prefix_lies, same_server
from prefect_collect.verification import verify_job
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with two files, one of them in a subfolder."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_text("a")
    (root / "sub" / "b").write_text("b")
    return root


@pytest.fixture
def bound(root: Path, tmp_path: Path) -> Iterator[Callable[[Path, str], Path]]:
    """A function that bind-mounts a folder under a second name below the root."""
    made: list[Path] = []

    def bind(folder: Path, name: str) -> Path:
        point = root / name
        point.mkdir(parents=True)
        mounted = subprocess.run(["mount", "--bind", folder, point], capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"mounting needs root: {mounted.stderr.strip()}")
        made.append(point)
        return point

    yield bind
    for point in reversed(made):
        subprocess.run(["umount", "-l", point], check=True)


def collected(root: Path, store: Path, *, follow: bool = False, **described: Any) -> tuple[JobFolder, TaskResult]:
    """Collect the folder into the store, check that the account adds up, and return the job's folder and result."""
    source = FileSource(root=root, name="files", follow_symlinks=follow)
    folder = new_job(DirectoryStore(store), source, **described)
    result = attempt(folder, source)
    check_account(folder)
    assert verify_job(folder).problems == []
    return folder, result


def left_out(folder: JobFolder) -> list[str]:
    """Return the rows of the report that stand for the staging store."""
    return sorted(row["path"] for row in unsuccessful(folder).values() if row["error_code"] == "staging_store")


@pytest.mark.parametrize("name", ["store", "sub/deep/store", "sub/öé \xa0"])
def test_a_store_below_its_source_is_left_out(root: Path, name: str) -> None:
    """Consecutive jobs collect the same two files, each with one skipped row for the store and a warning."""
    for _ in range(3):
        folder, result = collected(root, root / name)
        assert (result.counts.found, result.counts.succeeded, result.counts.skipped) == (3, 2, 1)
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
        assert set(held(folder)) == {"a", "sub/b"}
        assert left_out(folder) == [f"{name}/"]
        [warning] = result.warnings
        assert f"The staging store lies in the source, in {name}/, and was left out." in warning


def test_a_store_whose_name_is_not_utf_8(root: Path) -> None:
    """A store whose name is not UTF-8 is left out, with the id of those bytes."""
    folder, result = collected(root, Path(os.fsdecode(bytes(root) + b"/st\xffre")))
    assert (result.counts.succeeded, result.counts.skipped) == (2, 1)
    assert left_out(folder) == ["bytes:st%FFre/"]


@pytest.mark.parametrize("query", [{"include": ["*.none"]}, {"exclude": ["**"]}, {"limit": 1}, {"min_size": 1}])
def test_no_query_lets_the_store_in_or_hides_it(root: Path, query: dict[str, object]) -> None:
    """The row and the warning are there whatever the query is, and do not count for its limit."""
    folder, result = collected(root, root / "store", query=query)
    assert left_out(folder) == ["store/"]
    assert len(result.warnings) == 1
    assert set(held(folder)) <= {"a", "sub/b"}
    assert len(held(folder)) == {"limit": 1, "min_size": 2}.get(next(iter(query)), 0)


def test_links_into_the_store(root: Path, tmp_path: Path) -> None:
    """A followed link to the store, to a folder or file in it, or to a folder around it adds one row and no item."""
    store = root / "sub" / "store"
    first, _ = collected(root, store)
    (root / "to-store").symlink_to("sub/store")
    (root / "to-job").symlink_to(f"sub/store/{first.job_id}")
    (root / "to-file").symlink_to(f"sub/store/{first.job_id}/job.json")
    (root / "other").mkdir()
    (root / "other" / "to-sub").symlink_to("../sub")
    folder, result = collected(root, store, follow=True)
    assert set(held(folder)) == {"a", "sub/b", "other/to-sub/b"}
    assert left_out(folder) == ["other/to-sub/store/", "sub/store/", "to-file", "to-job/", "to-store/"]
    assert len(result.warnings) == 1


def test_a_store_that_is_named_by_a_link(root: Path, tmp_path: Path) -> None:
    """Source and store are compared by the folders to which their names lead, through links and mounts."""
    (root / "store").mkdir()
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "other").symlink_to(root / "store")
    folder, _ = collected(tmp_path / "link", tmp_path / "other")
    assert set(held(folder)) == {"a", "sub/b"}
    assert left_out(folder) == ["store/"]


def test_mounts_that_lead_into_the_store(root: Path, tmp_path: Path, bound: Callable[[Path, str], Path]) -> None:
    """A store that is mounted below the source, as a whole or in part, is left out under each of its names there."""
    store = tmp_path / "elsewhere" / "store"
    first, result = collected(root, store)
    assert result.warnings == ()
    bound(store, "mounted")
    bound(store / first.job_id, "sub/a job")
    bound(tmp_path / "elsewhere", "around")
    folder, _ = collected(root, store)
    assert set(held(folder)) == {"a", "sub/b"}
    assert left_out(folder) == ["around/store/", "mounted/", "sub/a job/"]
    with pytest.raises(InvalidLocation):
        require_collectable(FileSource(root=root / "mounted"), DirectoryStore(store))


def test_a_retry_that_opens_a_folder_up(root: Path) -> None:
    """A retry of a folder that could not be listed adds its files and the store's row, but not the store's files."""
    store = DirectoryStore(root / "sub" / "store")
    new_job(store, FileSource(root=root))
    failed = Item("sub/", "sub/", failure=Failure("access_denied", "Not allowed. [sub/]"))
    found = list(relisted(outside(FileSource(root=root), store), failed))
    assert [(item.id, item.expands, item.skipped and item.skipped.code) for item in found] == [
        ("sub/b", "sub/", None),
        ("sub/store/", "sub/", "staging_store"),
    ]


def test_incremental_jobs(root: Path) -> None:
    """An incremental second job collects new files, and no staged file of the first job."""
    store = DirectoryStore(root / "store")
    collected(root, root / "store")
    (root / "c").write_text("c")
    source = FileSource(root=root, name="files")
    probe = new_job(store, source)
    options = since_options(store, probe.record())
    folder, result = collected(root, root / "store", options=options)
    assert options["since_jobs"]
    assert {"c"} <= set(held(folder)) <= {"a", "c", "sub/b"}
    assert left_out(folder) == ["store/"]
    assert result.counts.found == 4


@pytest.mark.parametrize("place", [".", "..", "sub/../../root"])
def test_a_source_in_its_store_is_refused(root: Path, place: str) -> None:
    """A store that is the source, or contains it, is refused, as all would be left out; nothing is written."""
    before = sorted(root.rglob("*"))
    with pytest.raises(InvalidLocation, match="would be left out; use a store outside"):
        require_collectable(FileSource(root=root), DirectoryStore(root / place))
    assert sorted(root.rglob("*")) == before


def test_a_destination_in_the_source_is_refused(root: Path, tmp_path: Path) -> None:
    """A package into the source or the staging store is refused; one beside or around them is not."""
    source, store = FileSource(root=root), DirectoryStore(tmp_path / "store")
    (tmp_path / "link").symlink_to(root / "sub")
    for inside in (root, root / "sub" / "new", tmp_path / "link", store.root, store.root / "x"):
        with pytest.raises(InvalidLocation, match="use a destination outside"):
            require_destination(source, store, DirectoryStore(inside))
    for apart in (tmp_path, tmp_path / "root2", tmp_path / "store2"):
        require_destination(source, store, DirectoryStore(apart))


KEYS = st.lists(st.sampled_from(["a", "ab", "b"]), max_size=3).map("/".join)


@given(prefix=st.builds(lambda key, end: key + end if key else "", KEYS, st.sampled_from(["", "/"])), folder=KEYS)
def test_prefixes(prefix: str, folder: str) -> None:
    """A store is apart from a source only if none of the keys that it may write is one of the source's."""
    start = f"{folder}/" if folder else ""
    lies = prefix_lies(start, prefix)
    written = [f"{start}{name}" for name in ("a", "ab/x", "0194c1b0/job.json", "z")]
    inside = [key.startswith(prefix) for key in written]
    if lies is None:
        assert not any(inside)
    elif lies is Lies.INSIDE:
        assert all(inside)
        assert len(start) > len(prefix)
    elif lies is Lies.AROUND:
        assert not inside[2]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://localhost:9000", "http://127.0.0.1:9000", True),
        ("http://localhost:9000", "http://localhost:9001", False),
        ("https://s3.eu-west-1.amazonaws.com", "https://s3.amazonaws.com", True),
        ("https://s3.amazonaws.com", "http://127.0.0.1:443", False),
        ("https://no-such-host.invalid", "https://no-such-host.invalid/", True),
    ],
)
def test_servers(one: str, other: str, same: bool) -> None:
    """Servers are compared by the addresses of their names; AWS counts as one server."""
    assert same_server(one, other) is same
    assert same_server(other, one) is same


def test_stores_of_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A destination in the staging store's bucket is refused below the store's prefix only."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    store = S3Store("bucket", "jobs", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(InvalidLocation):
        require_destination(None, store, S3Store("bucket", "jobs/out", endpoint_url="http://localhost:9"))
    for apart in (("bucket", "jobs2", 9), ("bucket", "", 9), ("bucket", "jobs", 10), ("other", "jobs", 9)):
        bucket, prefix, port = apart
        require_destination(None, store, S3Store(bucket, prefix, endpoint_url=f"http://127.0.0.1:{port}"))
