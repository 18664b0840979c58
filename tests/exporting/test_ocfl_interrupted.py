"""Exports as OCFL objects that end at any instant, or meet another export: a whole version is left."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import Blob, Buffer, DirectoryStore, Store
from tests.examples import STEP
from tests.exporting.test_ocfl import NAME, collected, inventory
from tests.support.memory_store import Killed, MemoryStore
from tests.support.ocfl_judge import require_valid
from tests.support.run_attempts import export

FILES = {"a.txt": b"one", "empty": b""}


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> list[JobFolder]:
    """Return collections of one source, each with other files."""
    root = tmp_path_factory.mktemp("collections")
    return [collected(root, FILES | {"a.txt": b"%d" % number}) for number in range(4)]


@pytest.fixture
def judged(tmp_path: Path) -> Callable[[MemoryStore], None]:
    """Return a function that lets ocfl-py and verify judge the storage root in a bucket, downloaded to a folder."""

    def judge(bucket: MemoryStore) -> None:
        root = tmp_path / "downloaded"
        shutil.rmtree(root, ignore_errors=True)
        for key, data in bucket.blobs.items():
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(data)
        require_valid(root)
        found = verify(NAME, store=bucket)
        assert (found.problems, found.warnings) == ([], [])

    return judge


def head_of(bucket: MemoryStore) -> int:
    """Return the number of the last version (0 for none), all of whose files are there with their hashes.

    The inventory has its hash beside it or, at the instant between the two, beside its copy in the version's folder.
    """

    def there(name: str) -> bytes | None:
        return bucket.blobs.get(f"{NAME}/{name}")

    data = there("inventory.json")
    if data is None:
        return 0
    said = json.loads(data)
    seal = f"{hashlib.sha256(data).hexdigest()} inventory.json\n".encode()
    head: str = said["head"]
    assert there("0=ocfl_object_1.1") == b"ocfl_object_1.1\n"
    assert (there(f"{head}/inventory.json"), there(f"{head}/inventory.json.sha256")) == (data, seal)
    assert there("inventory.json.sha256") == seal or f"{NAME}/inventory.json" == bucket.written[-1]
    for digest, (path,) in said["manifest"].items():
        assert hashlib.sha256(there(path) or b"").hexdigest() == digest
    return int(head[1:])


@pytest.mark.parametrize("version", [1, 2])
def test_a_kill_at_any_instant_leaves_the_old_version_or_the_new(
    collections: list[JobFolder], judged: Callable[[MemoryStore], None], version: int
) -> None:
    """After whatever is written, readers have one whole version, another job is refused, and a retry ends it.

    Only when all is written is another job let through. One instant within the content stands for all of them.
    """
    start = MemoryStore()
    for number in range(1, version):
        export(collections[number], start, "ocfl")
    whole = start.copy()
    export(collections[version], whole, "ocfl")
    total = len(whole.written) - len(start.written)
    assert total > 10
    for instant in [3 - version, 5, *range(total - 4, total + 1)][::STEP]:
        bucket = start.copy()
        bucket.die_after = instant
        job = killed(collections[version], bucket)
        bucket = bucket.copy()
        is_new = instant >= total - 1
        assert head_of(bucket) == (version if is_new else version - 1)
        if instant == 5 or is_new:
            _, other = export(collections[3], bucket.copy(), "ocfl")
            assert (other.status is JobStatus.FAILED) == (instant < total)
            assert (job.job_id in messages(other)) == (not is_new)
        _, result = export(collections[version], bucket, "ocfl", job)
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
        assert head_of(bucket) == version
        judged(bucket)


def test_two_first_exports_that_make_the_storage_root(
    collections: list[JobFolder], judged: Callable[[MemoryStore], None]
) -> None:
    """A root that another export makes while an export looks for one is taken; one of the two makes the object."""

    class Looked(MemoryStore):
        is_looked_at = False

        def folders(self, prefix: str = "") -> Iterator[str]:
            if not self.is_looked_at:
                self.is_looked_at = True
                export(collections[0], self, "ocfl")
            return super().folders(prefix)

    bucket = Looked()
    _, result = export(collections[1], bucket, "ocfl")
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert head_of(bucket) == 2
    judged(bucket)


def test_a_full_bucket_is_refused_without_a_whole_listing(collections: list[JobFolder]) -> None:
    """A bucket with folders is no place for a storage root, which its folders tell."""

    class Listed(MemoryStore):
        def list(self, prefix: str = "") -> Iterator[Blob]:
            assert prefix, "a listing of millions"
            return super().list(prefix)

    bucket = Listed({f"folder/{number}": b"" for number in range(9)})
    _, result = export(collections[1], bucket, "ocfl")
    assert "holds other things ('folder')" in messages(result)
    assert len(bucket.blobs) == 9


def messages(result: TaskResult) -> str:
    """Return what the error report of an export says."""
    return " ".join(str(row["message"]) for row in result.unsuccessful.to_arrow().to_pylist())


def killed(collection: JobFolder, bucket: Store) -> JobFolder:
    """Run an export whose process dies; return its job."""
    before = set(collection.store.folders())
    with contextlib.suppress(Killed):
        export(collection, bucket, "ocfl")
    (job,) = set(collection.store.folders()) - before
    return JobFolder(collection.store, job)


class Dying(DirectoryStore):
    """A folder whose writer dies before the key `at` is written."""

    at = ""

    def writer(self, key: str, *, replace: bool = False) -> Any:  # noqa: D102
        if key == self.at:
            raise Killed
        return super().writer(key, replace=replace)


@pytest.mark.parametrize(("at", "head"), [("inventory.json", "v1"), ("inventory.json.sha256", "v2")])
def test_a_kill_in_a_folder_is_not_taken_for_a_valid_object(
    collections: list[JobFolder], tmp_path: Path, at: str, head: str
) -> None:
    """Before and after the object's inventory is replaced, it is one version or the other, which verify finds
    unfinished; a retry makes it valid.
    """
    root = tmp_path / "root"
    export(collections[0], DirectoryStore(root), "ocfl")
    assert verify(root / NAME).valid
    dying = Dying(root)
    dying.at = f"{NAME}/{at}"
    job = killed(collections[1], dying)
    assert inventory(root)["head"] == head
    assert not verify(root / NAME).valid
    _, result = export(collections[1], DirectoryStore(root), "ocfl", job)
    assert (result.status, inventory(root)["head"]) == (JobStatus.SUCCESSFULLY_COMPLETED, "v2")
    require_valid(root)
    found = verify(root / NAME)
    assert (found.problems, found.warnings, found.fingerprint) == ([], [], result.fingerprint)


class Met(MemoryStore):
    """A bucket that calls `meet` once, before a key that ends so is written."""

    at = ""

    def meet(self) -> None:
        """Do nothing."""

    def create(self, key: str, data: Buffer) -> Blob:  # noqa: D102
        self._met(key)
        return super().create(key, data)

    def writer(self, key: str, *, replace: bool = False) -> Any:  # noqa: D102
        self._met(key)
        return super().writer(key, replace=replace)

    def _met(self, key: str) -> None:
        if self.at and key.endswith(self.at):
            self.at = ""
            self.meet()


@pytest.mark.parametrize(
    "at",
    ["/unfinished.txt", "/v2/content/ocfl.json", "/v2/inventory.json", f"{NAME}/inventory.json", NAME + "/inv.sha"],
)
def test_of_two_exports_at_once_one_is_refused(
    collections: list[JobFolder], judged: Callable[[MemoryStore], None], at: str
) -> None:
    """An export that runs in the midst of another makes its version, or is refused; retried, both have one.

    The refused one is that of the later collection: an earlier one would put back what is newer in the object.
    """
    bucket, is_first = Met(), at == "/unfinished.txt"
    within, around = (collections[1], collections[2]) if is_first else (collections[2], collections[1])
    export(collections[0], bucket, "ocfl")
    jobs: list[tuple[JobFolder, TaskResult]] = []
    bucket.at = at.replace("inv.sha", "inventory.json.sha256")
    bucket.meet = lambda: jobs.append(export(within, bucket, "ocfl"))  # type: ignore[method-assign]
    jobs.append(export(around, bucket, "ocfl"))
    assert bucket.at == ""
    inner, outer = (result.status is JobStatus.SUCCESSFULLY_COMPLETED for _, result in jobs)
    assert (inner, outer) == (is_first, not is_first)
    assert head_of(bucket) == 2
    judged(bucket)
    refused = jobs[1] if inner else jobs[0]
    assert "retry" in messages(refused[1])
    _, result = export(collections[2], bucket, "ocfl", refused[0])
    assert (result.status, head_of(bucket)) == (JobStatus.SUCCESSFULLY_COMPLETED, 3)
    judged(bucket)
