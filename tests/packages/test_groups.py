"""Groups of bags: each bag is complete in itself, one list is over all, and `verify` proves the whole."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bagit
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.codes import Failure
from prefect_collect.errors import JobCanceled, PackageExists
from prefect_collect.formats.bag_options import BagOptions, Volumes
from prefect_collect.packages import Built, FolderZip, Owner, PackagePlace, find_duplicates, verify
from prefect_collect.packages.groups.build import DESCRIPTION, SEAL, build_group
from prefect_collect.stores import DirectoryStore
from prefect_collect.threads.stop import Stop
from tests.examples import examples
from tests.formats.test_bag_options import profile
from tests.packages.conftest import Staging
from tests.packages.foreign_bags import manifest

ITEMS = {"a.txt": b"a" * 60_000, "sub/ü.txt": b"b" * 60_000, "large": b"c" * 500_000, "d": b"d", "e": b""}
ME = Owner("my-job")
KINDS = ["zip", "tar", "tar.zst"]


def make(
    staging: Any,
    exports: DirectoryStore,
    kind: Volumes = "zip",
    owner: Owner = ME,
    *,
    replace: bool = False,
    **how: Any,
) -> Built:
    """Check and build a group of bags of at most 190,000 bytes."""
    spec = staging.spec(bag=BagOptions(volume_bytes=190_000, volumes=kind))
    return build_group(staging.input(staging.check(), spec), PackagePlace(exports, "docs", owner, replace), **how)


@pytest.fixture
def staged(staging: Any) -> Any:
    """Return a staging store with items and one that was not collected."""
    staging.stage(ITEMS)
    staging.lose("gone")
    return staging


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the group of which each test changes a copy; of one item a source states something."""
    root = tmp_path_factory.mktemp("group")
    staging = Staging(DirectoryStore(root / "staging"))
    staging.stage(ITEMS)
    staging.lose("gone")
    staging.rows[1]["metadata"] = '{"true": true}'
    make(staging, DirectoryStore(root))
    return root / "docs"


@pytest.fixture
def group(tmp_path: Path, built: Path) -> Path:
    """Return a group of bags."""
    return shutil.copytree(built, tmp_path / "exports" / "docs")


@pytest.mark.parametrize("kind", KINDS)
def test_a_group(staged: Any, exports: DirectoryStore, tmp_path: Path, kind: Volumes) -> None:
    """The bags are valid for bagit each, and together hold every item once; sha256sum checks all by one manifest."""
    built = make(staged, exports, kind)
    group = exports.root / "docs"
    bags = sorted(path.name for path in group.iterdir() if path.name.startswith("docs-"))
    assert bags == [f"docs-00{number}.{kind}" for number in (1, 2, 3)]
    for bag in bags:
        unpack = ["unzip", "-qq"] if kind == "zip" else ["tar", "-xf"]
        subprocess.run([*unpack, group / bag], cwd=tmp_path, check=True)
        assert verify(group / bag).problems == []
    for number, folder in enumerate(sorted(tmp_path.glob("docs-00?")), 1):
        read = bagit.Bag(str(folder))
        assert read.validate(processes=1)
        assert read.info["Bag-Count"] == f"{number} of 3"
        assert read.info["Bag-Group-Identifier"] == staged.spec().job_id
    paths = [path.as_posix() for path in tmp_path.glob("docs-00?/data/**/*")]
    found = {path.partition("/data/")[2] for path in paths}
    assert {*ITEMS} <= found
    subprocess.run(["sha256sum", "--quiet", "-c", group / "manifest-sha256.txt"], cwd=tmp_path, check=True)
    whole = verify(group)
    assert (whole.problems, whole.warnings) == ([], [])
    assert (whole.items, whole.not_delivered, whole.bytes) == (len(ITEMS), 1, 620_001)
    assert whole.fingerprint == built.fingerprint
    assert (built.items, built.bytes) == (len(ITEMS), 620_001)


@pytest.mark.parametrize("kind", KINDS)
def test_bags_are_no_larger_than_asked(staging: Any, exports: DirectoryStore, kind: Volumes) -> None:
    """Each bag as a file, with its headers and lists, has at most the size; what one item makes larger is told."""
    odd = {f"ü{n}/{'%' * (n % 40)}{n}\n": b"x" * (n * 37 % 3000) for n in range(120)}
    staging.stage({**odd, **{f"f{n}": bytes(n % 50) for n in range(examples(300))}})
    for row in staging.rows[::3]:
        row["metadata"] = json.dumps({"labels": ["é" * 300, 1]}, separators=(",", ":"))
    spec = staging.spec(bag=BagOptions(volume_bytes=150_000, volumes=kind), sha512=True)
    built = build_group(staging.input(staging.check(sha512=True), spec), PackagePlace(exports, "docs", ME))
    sizes = [blob.size for blob in exports.list("docs/") if blob.key.endswith(kind)]
    assert len(sizes) > 2
    assert max(sizes) <= 150_000
    assert built.warnings == ()
    assert verify(exports.root / "docs").valid
    staging.stage({"large": b"c" * 200_000})
    built = build_group(staging.input(staging.check(sha512=True), spec), PackagePlace(exports, "more", ME))
    largest = [blob.key for blob in exports.list("more/") if blob.size > 150_000]
    if kind == "tar.zst":
        assert (largest, built.warnings) == ([], ())  # it is compressed
    else:
        assert [f"1 of {len(sizes) + 1} bags are larger than the 150,000 bytes that were asked for, as an item "] == [
            warning.partition("is with")[0] for warning in built.warnings
        ]
        assert largest == [f"more/docs-{len(sizes) + 1:03d}.{kind}"]


def test_the_same_items_give_the_same_group(staged: Any, tmp_path: Path) -> None:
    """Two exports give the same files, byte for byte, and a browser's ZIP file of the folder is verified as well."""
    one, two = DirectoryStore(tmp_path / "one"), DirectoryStore(tmp_path / "two")
    for store in (one, two):
        make(staged, store)
    assert [(blob.key, one.read(blob.key)) for blob in one.list()] == [
        (blob.key, two.read(blob.key)) for blob in two.list()
    ]
    (tmp_path / "docs.zip").write_bytes(b"".join(FolderZip(one, "docs").chunks()))
    assert verify(tmp_path / "docs.zip").problems == []
    assert verify(tmp_path / "docs.zip").items == len(ITEMS)


@pytest.mark.parametrize("kind", KINDS)
def test_what_may_be_replaced(staged: Any, exports: DirectoryStore, kind: Volumes) -> None:
    """A retry keeps the identical group, replaces its own one or an unfinished one, and touches nothing else."""
    first = make(staged, exports, kind, replace=True)
    with pytest.raises(PackageExists):
        make(staged, exports, kind)
    assert make(staged, exports, kind, replace=True).fingerprint == first.fingerprint
    staged.stage({"more": b"m" * 900})
    with pytest.raises(PackageExists):
        make(staged, exports, kind, replace=True)
    mine = Owner("my-job", frozenset({first.fingerprint}))
    second = make(staged, exports, kind, replace=True, owner=mine)
    assert second.fingerprint != first.fingerprint
    assert verify(exports.root / "docs").items == len(ITEMS) + 1
    (exports.root / "docs" / SEAL).unlink()
    (exports.root / "docs/.prefect-collect-my-job").mkdir()
    (exports.root / "docs/.prefect-collect-my-job/unfinished.txt").write_text("")
    assert make(staged, exports, kind, replace=True).fingerprint == second.fingerprint
    (exports.root / "docs/others.txt").write_text("")
    with pytest.raises(PackageExists, match=r"others\.txt"):
        make(staged, exports, kind, replace=True, owner=Owner("my-job", frozenset({second.fingerprint})))
    assert (exports.root / "docs/others.txt").exists()


def test_a_cancel_leaves_nothing(staged: Any, exports: DirectoryStore) -> None:
    """A job that is canceled between two bags removes those that it wrote."""

    class Canceled(DirectoryStore):
        def compose(self, key: str, *args: Any, **how: Any) -> Any:
            blob = super().compose(key, *args, **how)
            stop.set(Failure("canceled", "by the test"))
            return blob

    stop = Stop()
    with pytest.raises(JobCanceled):
        make(staged, Canceled(exports.root), stop=stop)
    assert [*exports.list()] == []


CHANGES = {
    "a bag is missing": ("docs-002.zip", lambda data: None, "this bag is missing"),
    "a bag is cut off": ("docs-002.zip", lambda data: data[:-50], "docs-002.zip: package"),
    "a list is changed": ("items.csv", lambda data: data + b"x", "its bytes are not those that"),
    "a list is missing": ("items.parquet", lambda data: None, f"it is missing; {SEAL} lists it"),
    "the seal has another line": (SEAL, lambda data: data + b"x\n", "it is not as it was written"),
    "the seal is missing": (SEAL, lambda data: None, "it is missing"),
    "no JSON": (DESCRIPTION, lambda data: b"{", "cannot be read as the list"),
    "another file": ("docs-004.zip", lambda data: b"x", "it is no part of the group"),
    "a bag of another group": ("docs-001.zip", None, "does not say that this is bag"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_verify_finds(staged: Any, group: Path, tmp_path: Path, name: str) -> None:
    """Whatever is missing, changed, exchanged or added in a group is found and named."""
    file, change, said = CHANGES[name]
    path = group / file
    if change is None:
        other = DirectoryStore(tmp_path / "other")
        spec = staged.spec(base="docs-001")
        staged.zip(other, "x.zip")
        path.write_bytes(other.read("x.zip"))
        assert spec.base == "docs-001"
    else:
        data = change(path.read_bytes() if path.exists() else b"")
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)
    found = verify(group)
    assert said in "; ".join(map(str, found.problems)) or (name == "the seal is missing" and not found.valid)


def rows(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], None]:
    """Return what changes the rows of a group's items.parquet, of which the last one is not delivered."""

    def rewrite(group: Path) -> None:
        table = pq.read_table(group / "items.parquet")
        listed = table.to_pylist()
        change(listed)
        made = pa.Table.from_pylist(listed, table.schema.with_metadata({"any": "thing"}))
        pq.write_table(made, group / "items.parquet")

    return rewrite


def without(*names: str) -> Callable[[Path], None]:
    """Return what removes these lists."""
    return lambda group: ([(group / name).unlink() for name in names], None)[1]


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Return what replaces a text in a list."""

    def rewrite(group: Path) -> None:
        text = (group / name).read_text()
        assert old in text
        (group / name).write_text(text.replace(old, new, 1))

    return rewrite


NOT_THE_ITEM = "row 2 of the group's items.parquet is not the item that this bag has there"
FORGERIES = {
    "nothing": (rows(lambda listed: None), ""),
    "an id": (rows(lambda listed: listed[1].update(item_id="invented")), NOT_THE_ITEM),
    "an original path": (rows(lambda listed: listed[1].update(original_path="elsewhere")), NOT_THE_ITEM),
    "a path": (rows(lambda listed: listed[1].update(path="docs-009/data/none")), NOT_THE_ITEM),
    "a hash": (rows(lambda listed: listed[1].update(sha256="0" * 64)), NOT_THE_ITEM),
    "an outcome": (rows(lambda listed: listed[1].update(outcome="failed", path=None)), NOT_THE_ITEM),
    "an item left out": (rows(lambda listed: listed.pop(1)), NOT_THE_ITEM),
    "an item more": (rows(lambda listed: listed.append(listed[0])), "delivered items that no bag of the group has"),
    "an id twice": (rows(lambda listed: listed.append(listed[-1])), "it lists the item 'lost gone' more than once"),
    "the table": (replaced("items.csv", "id-00001", "lies"), "items.csv: row 2 is not the item"),
    "a manifest": (replaced("manifest-sha256.txt", "a.txt", "b.txt"), "manifest-sha256.txt does not list the same"),
    "what a source states": (replaced("metadata.jsonl", "true", "false"), "metadata.jsonl does not list the same"),
    "no source's metadata": (without("metadata.jsonl"), "metadata.jsonl: the group has no such list over all bags"),
    "no list": (without("items.parquet", "items.csv"), f"items.parquet: {SEAL} does not list it, but every group"),
    "no table": (without("items.csv"), f"items.csv: {SEAL} does not list it, but every group"),
    "no manifest": (without("manifest-sha256.txt"), f"manifest-sha256.txt: {SEAL} does not list it, but every group"),
}


def seal(group: Path) -> None:
    """Write the seal anew, as a forger would."""
    names = sorted(path.name for path in group.iterdir() if path.suffix != ".zip" and path.name != SEAL)
    (group / SEAL).write_bytes(manifest({one: (group / one).read_bytes() for one in names}))


@pytest.mark.parametrize("name", FORGERIES)
def test_lists_that_were_forged_and_sealed_anew(group: Path, name: str) -> None:
    """Lists over all that are changed or removed with a fitting seal do not agree with the bags."""
    forge, said = FORGERIES[name]
    forge(group)
    seal(group)
    found = "; ".join(map(str, verify(group).problems))
    assert (said in found) if said else found == ""


def test_duplicates_that_are_withheld(staging: Any, exports: DirectoryStore) -> None:
    """The bag in whose part a duplicate would be says that it is one, and the list over all which item it repeats."""
    staging.stage({"a": b"s" * 900, "b": b"t" * 900, "c": b"s" * 900})
    spec, checked = staging.spec(bag=BagOptions(volume_bytes=1000), deduplicate="global"), staging.check()
    checked.withhold(find_duplicates(staging.manifest, checked.bad, "global"))
    build_group(staging.input(checked, spec), PackagePlace(exports, "docs"))
    group = exports.root / "docs"
    found = verify(group)
    assert (found.problems, found.items, found.not_delivered) == ([], 2, 1)
    assert verify(group / "docs-003.zip").problems == []
    with zipfile.ZipFile(group / "docs-003.zip") as bag:
        listed = pq.read_table(io.BytesIO(bag.read("docs-003/items.parquet"))).to_pylist()
    assert [(one["outcome"], one["error_code"], one["duplicate_of"]) for one in listed] == [
        ("skipped", "duplicate", None)
    ]
    table = pq.read_table(group / "items.parquet")
    rows = table.to_pylist()
    assert (rows[2]["error_code"], rows[2]["duplicate_of"], rows[0]["all_paths"]) == ("duplicate", "id-00000", "a; c")
    rows[0]["all_paths"] = "a"
    pq.write_table(pa.Table.from_pylist(rows, table.schema), group / "items.parquet")
    seal(group)
    assert "the all_paths of 'id-00000' are not those" in "; ".join(map(str, verify(group).problems))


def test_bags_that_were_exchanged_with_their_list(staged: Any, exports: DirectoryStore) -> None:
    """Who exchanges two bags and group.json with its seal's line is found out by the bags' own tags and manifests."""
    make(staged, exports)
    group = exports.root / "docs"
    said = json.loads((group / DESCRIPTION).read_text())
    said["bags"].reverse()
    (group / DESCRIPTION).write_text(json.dumps(said, indent=1) + "\n")
    found = "; ".join(map(str, verify(group).problems))
    assert "it does not say that this is bag 1 of 3" in found
    assert "does not list the same" in found


def test_a_profile_holds_for_every_bag(staged: Any, exports: DirectoryStore) -> None:
    """`verify --profile` of a group checks each of its bags."""
    make(staged, exports)
    text = profile(Bag_Info={"Funder": {"required": True}})
    found = [str(one) for one in verify(exports.root / "docs", profile=text).problems if "Funder" in str(one)]
    assert len(found) == 3
    assert found[0].startswith("docs-001.zip: bag-info.txt: it lacks the tag Funder")
