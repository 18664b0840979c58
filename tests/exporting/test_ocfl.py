"""Exports as OCFL objects: judged by ocfl-py, with files shared between versions, retried after kills, and verified."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks import FileSource
from prefect_collect.codes import Failure
from prefect_collect.errors import PackageError, StoreNameTooLong
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.packages import FolderZip, fetch_package, folder_zip, verify, version_remark
from prefect_collect.packages.file_sets.lists import SetLists
from prefect_collect.packages.ocfl.names import object_name
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.stop import Stop
from tests.support.ocfl_judge import require_valid
from tests.support.run_attempts import attempt, export, new_job, unsuccessful

NAME = object_name({"name": "test", "location": "test"})


def collected(root: Path, files: dict[str, bytes]) -> JobFolder:
    """Return a new collection of a folder with just these files."""
    folder = root / "source"
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    source = FileSource(root=str(folder), name="test")
    job = new_job(DirectoryStore(root / "staging"), source)
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    return job


def inventory(root: Path) -> dict[str, Any]:
    """Return the inventory of the object."""
    found: dict[str, Any] = json.loads((root / NAME / "inventory.json").read_bytes())
    return found


def content(root: Path, version: int) -> set[str]:
    """Return the items that were written for a version."""
    folder = root / NAME / f"v{version}" / "content" / "items"
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


ODD = {
    "line\nbreak": b"1",
    "re\rturn/a": b"2",
    "CON": b"3",
    "%41 =": b"4",
    "é ü/日本": b"5",
    "'$(x)": b"6",
    "x" * 250: b"7",
}
FIRST = {"a.txt": b"one", "b/c.txt": b"two", "b/same.txt": b"one", "empty": b"", "bagit.txt": b"no bag", "Grüße": b"4"}


def test_later_exports_are_versions_that_share_files(tmp_path: Path) -> None:
    """Each export adds a version with the items of its collection; only new bytes are written; ocfl-py accepts all."""
    root = tmp_path / "root"
    second = {**FIRST, "a.txt": b"changed", "new.txt": b"new"}
    del second["b/c.txt"]
    third = {"moved/c.txt": b"two", "a.txt": b"changed"}
    written = [{*FIRST} - {"b/same.txt"}, {"a.txt", "new.txt"}, set()]
    for number, (files, fresh) in enumerate(zip((FIRST, second, third), written, strict=True), 1):
        _, result = export(collected(tmp_path, files), DirectoryStore(root), "ocfl")
        assert (result.status, result.package) == (JobStatus.SUCCESSFULLY_COMPLETED, str(root / NAME))
        require_valid(root)
        said = inventory(root)
        assert (said["head"], said["id"], said["digestAlgorithm"]) == (f"v{number}", NAME, "sha256")
        state = said["versions"][f"v{number}"]["state"]
        items = {path: digest for digest, paths in state.items() for path in paths if path.startswith("items/")}
        assert items == {f"items/{name}": hashlib.sha256(data).hexdigest() for name, data in files.items()}
        assert content(root, number) == fresh
        found = verify(root / NAME)
        assert (found.problems, found.warnings, found.items) == ([], [], len(files))
        assert found.bytes == sum(map(len, files.values()))
        assert found.fingerprint == result.fingerprint
    with pytest.raises(PackageError, match="an OCFL storage root"):
        verify(root)


def test_odd_names(tmp_path: Path) -> None:
    """Names with line breaks and the like are delivered as they are, and ocfl-py, verify and sha256sum agree."""
    root = tmp_path / "root"
    _, result = export(collected(tmp_path, ODD), DirectoryStore(root), "ocfl")
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    require_valid(root)
    found = verify(root / NAME)
    assert (found.problems, found.items) == ([], len(ODD))
    assert content(root, 1) == {*ODD}
    listed = ["sha256sum", "--quiet", "--strict", "-c", "manifest-sha256.txt"]
    subprocess.run(listed, cwd=root / NAME / "v1" / "content", check=True)


def test_the_same_files_make_no_version(tmp_path: Path) -> None:
    """A second export of the same collection, by any job, leaves the object as it is, byte for byte."""
    root, job = tmp_path / "root", collected(tmp_path, FIRST)
    _, first = export(job, DirectoryStore(root), "ocfl")
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    _, second = export(job, DirectoryStore(root), "ocfl")
    assert (second.status, second.fingerprint) == (JobStatus.SUCCESSFULLY_COMPLETED, first.fingerprint)
    assert {file: file.read_bytes() for file in root.rglob("*") if file.is_file()} == before
    assert not (root / NAME / "v2").exists()


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, JobFolder]:
    """Return a root with a version of an object, of which each test changes a copy, and a collection for the next."""
    folder = tmp_path_factory.mktemp("version")
    export(collected(folder, {"a.txt": b"a"}), DirectoryStore(folder / "root"), "ocfl")
    return folder / "root", collected(folder, {"a.txt": b"a", "b.txt": b"b"})


def _other_root(root: Path) -> None:
    (root / "ocfl_layout.json").write_text('{"extension": "0004-hashed-n-tuple-storage-layout", "description": ""}')


def _other_version(root: Path) -> None:
    (root / NAME / "v2").mkdir()
    (root / NAME / "v2" / "mine.txt").write_text("")


def _sha512(root: Path) -> None:
    path = root / NAME / "inventory.json"
    path.write_text(path.read_text().replace('"digestAlgorithm": "sha256"', '"digestAlgorithm": "sha512"'))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_other_root, "another layout"),
        (lambda root: (root / "0=ocfl_1.1").write_text("no"), "declaration of the storage root is damaged"),
        (lambda root: ((root / "0=ocfl_1.1").unlink(), (root / "x").touch()), "is no OCFL 1.1 storage root"),
        (_other_version, "v2/mine.txt"),
        (_sha512, "cannot be continued"),
        (
            lambda root: (root / NAME / "inventory.json.sha256").write_text("0 inventory.json"),
            "v1/inventory.json.sha256 to inventory.json.sha256",
        ),
        (lambda root: (root / NAME / "inventory.json").unlink(), "does not belong to an OCFL object"),
        (lambda root: (root / NAME / "v1/content/items/a.txt").unlink(), "is lost or has another size"),
        (lambda root: (root / NAME / "v1/content/EXCEPTIONS.csv").unlink(), "is lost or has another size"),
        (lambda root: (root / NAME / "0=ocfl_object_1.1").write_text("no"), "declaration was changed"),
    ],
)
def test_what_others_changed_is_refused_and_left(
    tmp_path: Path, version: tuple[Path, JobFolder], change: Callable[[Path], Any], why: str
) -> None:
    """An export refuses in words what it cannot continue, and changes no file that was there."""
    root, later = shutil.copytree(version[0], tmp_path / "root"), version[1]
    change(root)
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    job, result = export(later, DirectoryStore(root), "ocfl")
    assert result.status is JobStatus.FAILED
    messages = [row["message"] for row in result.unsuccessful.to_arrow().to_pylist()]
    assert why in " ".join(map(str, messages))
    assert {file: file.read_bytes() for file in before} == before
    assert len(unsuccessful(job)) == 2


def test_a_canceled_export_leaves_the_object_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Canceled while it writes, an export removes what it wrote: the new version, or the whole object if it is new."""
    root, stop = tmp_path / "root", Stop()
    add = SetLists.finish

    def canceling(self: SetLists) -> Any:
        stop.set(Failure("canceled", "The job was canceled."))
        return add(self)

    for files, left in ((FIRST, 2), ({"new": b"new"}, None)):
        with monkeypatch.context() as patched:
            patched.setattr(SetLists, "finish", canceling)
            stop = Stop()
            _, result = export(collected(tmp_path, files), DirectoryStore(root), "ocfl", stop=stop)
        assert result.status is JobStatus.CANCELED
        if left is not None:
            assert len(list(root.rglob("*"))) == left
            export(collected(tmp_path, files), DirectoryStore(root), "ocfl")
        require_valid(root)
        assert inventory(root)["head"] == "v1"


def test_items_that_cannot_be_written_are_exceptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They fail with those that have their bytes; the version is whole without them, and a retry makes the next."""
    root, create = tmp_path / "root", DirectoryStore.create

    def refusing(self: DirectoryStore, key: str, data: Any, into: Any = None) -> Any:
        if bytes(data) == b"one":
            raise StoreNameTooLong(f"The name is too long. [{key}]")
        return create(self, key, data, into)

    collection = collected(tmp_path, FIRST)
    with monkeypatch.context() as patched:
        patched.setattr(DirectoryStore, "create", refusing)
        job, result = export(collection, DirectoryStore(root), "ocfl")
    assert result.status is JobStatus.PARTIALLY_COMPLETED
    assert {row["path"] for row in unsuccessful(job).values()} == {"a.txt", "b/same.txt"}
    found = verify(root / NAME)
    assert (found.problems, found.items, found.not_delivered) == ([], len(FIRST) - 2, 2)
    require_valid(root)
    _, retried = export(collection, DirectoryStore(root), "ocfl", job)
    assert (retried.status, inventory(root)["head"]) == (JobStatus.SUCCESSFULLY_COMPLETED, "v2")
    assert len(content(root, 2)) == 1
    require_valid(root)
    assert verify(root / NAME).items == len(FIRST)


def test_a_downloaded_object_is_verified_as_one_file(tmp_path: Path) -> None:
    """The ZIP file of an object, as downloads send it, proves the same as the folder."""
    export(collected(tmp_path, FIRST), DirectoryStore(tmp_path / "root"), "ocfl")
    file = tmp_path / "object.zip"
    file.write_bytes(b"".join(FolderZip(DirectoryStore(tmp_path / "root"), NAME).chunks()))
    here, there = verify(tmp_path / "root" / NAME), verify(file)
    assert (there.problems, there.items, there.fingerprint) == ([], here.items, here.fingerprint)


def test_an_earlier_export_is_fetched_as_it_was(tmp_path: Path) -> None:
    """The result names the version. The copy of an object with later ones is the object up to that of the export, also
    while another export writes, and as one file.
    """
    root, home = DirectoryStore(tmp_path / "root"), tmp_path / "home"
    _, first = export(collected(tmp_path, FIRST), root, "ocfl")
    later = collected(tmp_path, {"a.txt": b"changed"})
    _, second = export(later, root, "ocfl")
    _, again = export(later, root, "ocfl")
    assert first.message.endswith(" The export is version v1 of the object.")
    assert second.message.endswith(" The export is version v2 of the object.")
    assert again.message.endswith(" The object has just these files as its version v2, so none was added.")
    (tmp_path / "root" / NAME / "v3" / "content").mkdir(parents=True)
    (tmp_path / "root" / NAME / "v3" / "content" / "begun.txt").touch()
    for result, items in ((first, len(FIRST)), (second, 1)):
        name = home / str(items)
        copy = fetch_package(root, NAME, name, NAME, result.fingerprint, "ocfl")
        assert (verify(copy).problems, verify(copy).items, verify(copy).fingerprint) == ([], items, result.fingerprint)
        (name / "object.zip").write_bytes(b"".join(folder_zip(root, NAME, result.fingerprint, "ocfl").chunks()))
        file = verify(name / "object.zip")
        assert (file.problems, file.fingerprint) == ([], result.fingerprint)
    assert version_remark(root, NAME, first.fingerprint, "ocfl").startswith("The object has version v2 now; ")
    assert version_remark(root, NAME, second.fingerprint, "ocfl") == ""
    with pytest.raises(PackageError, match="no longer has the version that the export made"):
        fetch_package(root, NAME, home / "none", NAME, "0" * 64, "ocfl")
    assert not (home / "none" / NAME).exists()
