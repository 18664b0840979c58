"""MD5 and SHA-1 beside SHA-256, if a collection is asked for them: in its manifest, and as manifests of the package."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_collect.collecting import shard
from prefect_collect.errors import PackageError
from prefect_collect.exporting.attempt import build_package, check_package
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.ocfl_judge import require_valid
from tests.support.run_attempts import attempt, copied, export, held, new_job

HASHES = ("md5", "sha1")
THINGS = {
    "a.txt": Thing("good", b"a"),
    "empty": Thing("empty"),
    "flaky": Thing("flaky", b"later"),
    "denied": Thing("denied", b"first not, then yes"),
    "l%0arge\nname": Thing("unknown_size", b"0123456789" * 50),
}


def collected(hashes: tuple[Any, ...] = HASHES) -> JobFolder:
    """Return a copy of a collection in which one item succeeded at the second attempt."""
    return copied(_of_these(hashes))


@cache
def _of_these(hashes: tuple[Any, ...]) -> JobFolder:
    return _collected(hashes)


def _collected(hashes: tuple[Any, ...] = HASHES) -> JobFolder:
    source = MemorySource(dict(THINGS))
    options = {"hashes": [*hashes]} if hashes else {}
    folder = new_job(MemoryStore(), source, options=options)
    assert attempt(folder, source, hashes=hashes).status is JobStatus.PARTIALLY_COMPLETED
    source.things["denied"] = Thing("good", THINGS["denied"].data)
    assert attempt(folder, source, hashes=hashes).status is JobStatus.SUCCESSFULLY_COMPLETED
    return folder


@pytest.mark.parametrize("large", [False, True])
def test_the_manifest_has_them(monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    """Whether an item is read whole or streamed, tried again or retried, its hashes are those of its bytes."""
    if large:
        monkeypatch.setattr(shard, "SMALL_ITEM", 0)
        monkeypatch.setattr(shard, "LARGE_ITEM", 0)
    rows = held(_collected())
    for name, thing in THINGS.items():
        for algorithm in ("sha256", *HASHES):
            assert rows[name][algorithm] == hashlib.new(algorithm, thing.data).digest(), (name, algorithm)


def test_nothing_more_than_asked(tmp_path: Path) -> None:
    """Of hashes that were not asked for there is no value, no column of the item lists and no manifest."""
    folder = collected(("sha1",))
    assert {row["md5"] for row in held(folder).values()} == {None}
    _, result = export(folder, DirectoryStore(tmp_path / "out"), "directory")
    assert result.package is not None
    package = Path(result.package)
    assert {path.name for path in package.glob("*manifest-*.txt")} == {
        f"{kind}-{algorithm}.txt" for kind in ("manifest", "tagmanifest") for algorithm in ("sha256", "sha1")
    }
    names = pq.read_schema(package / "items.parquet").names
    assert ("sha1" in names, "md5" in names) == (True, False)


def test_an_object_has_them_as_fixity(tmp_path: Path) -> None:
    """The inventory of an OCFL object has them of all its content, also later, and a wrong one is found."""
    root = tmp_path / "root"
    for hashes in (HASHES, ()):
        _, result = export(collected(hashes), DirectoryStore(root), "ocfl")
        assert result.package is not None
        require_valid(root)
        assert verify(result.package).valid
    (folder,) = (path for path in root.iterdir() if path.is_dir())
    said = json.loads((folder / "inventory.json").read_bytes())
    content = {hashlib.md5((folder / paths[0]).read_bytes()).hexdigest(): paths for paths in said["manifest"].values()}
    assert {*said["fixity"]} == {*HASHES}
    assert said["fixity"]["md5"] == {
        digest: paths for digest, paths in content.items() if paths[0].startswith("v1/content/items/")
    }
    listed = pq.read_table(folder / "v1" / "content" / "items.parquet").to_pylist()
    assert {row["item_id"]: row["sha1"] for row in listed} == {
        name: hashlib.sha1(thing.data).hexdigest() for name, thing in THINGS.items()
    }
    assert "md5" not in pq.read_schema(folder / "v2" / "content" / "items.parquet").names
    one, other, *_ = said["fixity"]["md5"].values()
    one[0], other[0] = other[0], one[0]
    for where in (folder, folder / "v2"):
        (where / "inventory.json").write_text(json.dumps(said))
        digest = hashlib.sha256((where / "inventory.json").read_bytes()).hexdigest()
        (where / "inventory.json.sha256").write_text(f"{digest} inventory.json\n")
    found = verify(folder)
    assert {problem.path for problem in found.problems} == {one[0], other[0]}
    assert {problem.what for problem in found.problems} == {
        "its bytes are not those that inventory.json (fixity of md5) lists"
    }


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_the_package_has_manifests_of_them(tmp_path: Path, format: str) -> None:
    """The package is valid, the same at each export, and the item lists say the same as the manifests."""
    folder = collected()
    job, result = export(folder, DirectoryStore(tmp_path / "out"), format, sha512=True)
    assert result.package is not None
    checked = verify(result.package)
    assert (checked.valid, checked.problems, checked.items) == (True, [], len(THINGS))
    assert verify_job(job).valid
    _, again = export(folder, DirectoryStore(tmp_path / "again"), format, sha512=True)
    assert again.fingerprint == result.fingerprint
    if format == "bagit":
        return
    package = Path(result.package)
    with (package / "items.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["item_id"]: row for row in csv.DictReader(file)}
    for algorithm in HASHES:
        # The tool that a receiver has judges the manifests that are written as it writes them.
        text = (package / f"manifest-{algorithm}.txt").read_text()
        plain = "".join(line for line in io.StringIO(text) if "%" not in line)
        done = subprocess.run(
            [f"{algorithm}sum", "--check", "--strict", "-"], input=plain, cwd=package, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout.count(": OK")) == (0, len(THINGS) - 1), done.stderr
        digests = {line.split("  ")[0] for line in text.splitlines()}
        assert digests == {row[algorithm] for row in rows.values()}
        tags = subprocess.run([f"{algorithm}sum", "--check", "--quiet", f"tagmanifest-{algorithm}.txt"], cwd=package)
        assert tags.returncode == 0


@pytest.mark.parametrize("algorithm", HASHES)
def test_a_wrong_hash_is_found(tmp_path: Path, algorithm: str) -> None:
    """`verify` holds the bytes to each manifest: one changed digit makes the package invalid."""
    _, result = export(collected(), DirectoryStore(tmp_path / "out"), "directory")
    assert result.package is not None
    manifest = Path(result.package, f"manifest-{algorithm}.txt")
    text = manifest.read_text()
    manifest.write_text(("1" if text[0] != "1" else "2") + text[1:])
    assert not verify(result.package).valid


def test_evidence_that_lacks_what_was_asked(tmp_path: Path) -> None:
    """An export of a collection whose record names a hash that its manifest lacks says so, and makes no package."""
    source = MemorySource({"a": Thing("good", b"a")})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source, options={"hashes": ["md5"]})
    attempt(folder, source)
    bound = bind_collection(folder.store, folder.job_id)
    delivery = Delivery(DirectoryStore(tmp_path / "out"), "bagit")
    with pytest.raises(PackageError, match=r"lacks the md5 of an item.*\[a\]"):
        build_package(bound, delivery, check_package(bound, delivery), replace=False)
