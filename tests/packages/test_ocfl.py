"""Verifying OCFL objects: what is damaged, forged or hostile is told, and objects of another tool are checked too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.cli import run
from prefect_collect.cli._exits import FAILED, OK, WRONG_USE
from prefect_collect.errors import PackageError, PackageExists
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.packages import PACKAGE_FORMATS, PackageInput, PackagePlace, PackageSpec, check_items, verify
from prefect_collect.packages.ocfl.inventory import next_version, parsed_inventory
from prefect_collect.packages.ocfl.names import object_name
from prefect_collect.stores import DirectoryStore
from prefect_collect.untrusted.bounded_json import BadValue
from tests.support.memory_store import MemoryStore
from tests.support.ocfl_judge import make_object

ONE, TWO = hashlib.sha256(b"1").hexdigest(), hashlib.sha256(b"2").hexdigest()
SAID = {"created": "2026-01-31T00:00:00Z"}


def _nothing(columns: list[str]) -> Iterator[Any]:
    return iter(())


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return the folder of an object with two versions of no items, whose lists differ in their dates."""
    store = DirectoryStore(tmp_path / "root")
    for day in (1, 2):
        spec = PackageSpec("base", "job", date(2026, 1, day))
        checked = check_items(_nothing, store, spec)
        given = PackageInput(_nothing, _nothing, checked, store, spec)
        PACKAGE_FORMATS["ocfl"].build(given, PackagePlace(store, "object"))
    assert verify(tmp_path / "root" / "object").valid
    return tmp_path / "root" / "object"


def _seal(folder: Path) -> None:
    digest = hashlib.sha256((folder / "inventory.json").read_bytes()).hexdigest()
    (folder / "inventory.json.sha256").write_text(f"{digest} inventory.json\n")


def _rewritten(made: Path, change: Callable[[dict[str, Any]], Any], where: str = "") -> None:
    """Change an inventory, and write its hash anew, as a forger would; the object's is that of its last version."""
    for folder in [made / where] if where else [made, made / "v2"]:
        values = json.loads((folder / "inventory.json").read_text())
        change(values)
        (folder / "inventory.json").write_text(json.dumps(values))
        _seal(folder)


def _renamed(values: dict[str, Any]) -> None:
    state = values["versions"]["v2"]["state"]
    state[next(digest for digest, paths in state.items() if paths == ["ocfl.json"])] = ["other.json", "ocfl.json"]


def _changed_list(made: Path) -> None:
    """Change a list of the last version, with all hashes of the object, but not the version's own list of hashes."""
    file = made / "v2" / "content" / "ocfl.json"
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_text(file.read_text().replace('"found": 0', '"found": 7'))
    after = hashlib.sha256(file.read_bytes()).hexdigest()
    for folder in (made, made / "v2"):
        text = (folder / "inventory.json").read_text()
        (folder / "inventory.json").write_text(text.replace(before, after))
        _seal(folder)


@pytest.mark.parametrize(
    ("change", "path", "what"),
    [
        (lambda made: (made / "v1/content/ocfl.json").write_text("{}"), "v1/content/ocfl.json", "its bytes are not"),
        (lambda made: (made / "v1/content/ocfl.json").unlink(), "v1/content/ocfl.json", "it is missing"),
        (lambda made: (made / "v2/content/more").touch(), "v2/content/more", "does not belong to the object"),
        (lambda made: (made / "more").touch(), "more", "does not belong to the object"),
        (lambda made: (made / "inventory.json").unlink(), "inventory.json", "it is missing"),
        (lambda made: (made / "inventory.json").write_text("[" * 9999), "inventory.json", "it is no inventory"),
        (lambda made: (made / "inventory.json.sha256").unlink(), "inventory.json.sha256", "does not state the hash"),
        (lambda made: (made / "0=ocfl_object_1.1").write_text("x"), "0=ocfl_object_1.1", "not the declaration"),
        (lambda made: (made / "v2/inventory.json").unlink(), "v2/inventory.json", "it is missing, or not"),
        (lambda made: (made / "v1/inventory.json").unlink(), "v1/inventory.json", "it is missing, so"),
        (lambda made: (made / "v1/inventory.json").write_text("{}"), "v1/inventory.json", "it is no inventory"),
        (lambda made: _rewritten(made, lambda v: v.update(id="x"), "v1"), "v1/inventory.json", "another version or"),
        (lambda made: _rewritten(made, _renamed), "other.json", "no manifest of the package lists it"),
        (_changed_list, "ocfl.json", "do not agree on its hash"),
        (_changed_list, "ocfl.json", "it states 7 items found, but there are 0"),
    ],
)
def test_what_is_wrong_is_a_problem(made: Path, change: Callable[[Path], Any], path: str, what: str) -> None:
    """Each damage and each forgery is a problem of the file that it is about."""
    change(made)
    found = verify(made)
    assert any(problem.path == path and what in problem.what for problem in found.problems), found.problems


def test_an_earlier_version_that_says_otherwise(made: Path) -> None:
    """A version's own inventory with other files than the object's is told, also with the right hash beside it."""
    state = json.loads((made / "v1/inventory.json").read_text())["versions"]["v1"]["state"]
    digest = next(iter(state))
    _rewritten(made, lambda values: values["versions"]["v1"]["state"].update({digest: ["other"]}), "v1")
    assert "it has other files in version v1" in " ".join(problem.what for problem in verify(made).problems)


def test_the_command_takes_the_folder_of_an_object(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says that the object is valid; a storage root stands for the objects in it, and the API refuses it."""
    assert run(["verify", f"{made}/"]) == OK
    assert capsys.readouterr().out.startswith("Valid")
    assert run(["verify", f"{made.parent}/"]) == OK
    shown = capsys.readouterr().out
    assert (shown.splitlines()[0], shown.splitlines()[-1]) == (str(made), "1 verified: 1 valid, 0 not valid.")
    assert run(["verify", str(made.parent), "--json"]) == OK
    [found] = json.loads(capsys.readouterr().out)
    assert (found["location"], found["valid"]) == (str(made), True)
    with pytest.raises(PackageError, match="an OCFL storage root, which has an object for each source; verify each"):
        verify(made.parent)
    (made.parent / "empty").mkdir()
    (made.parent / "empty" / "0=ocfl_1.1").write_text("ocfl_1.1\n")
    assert run(["verify", str(made.parent / "empty")]) == WRONG_USE
    assert "The OCFL storage root has no objects" in capsys.readouterr().err


def test_the_files_of_a_storage_root_beside_its_objects(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a shell makes of ``root/*`` also names the root's own files, which are passed over; alone they name it."""
    root = made.parent
    (root / "ocfl_layout.json").write_text("{}")
    named = sorted(str(path) for path in root.iterdir())
    assert named[0].endswith("0=ocfl_1.1")
    assert len(named) == 3
    assert run(["verify", *named]) == OK
    shown = capsys.readouterr().out
    assert (shown.splitlines()[0], shown.splitlines()[-1]) == (str(made), "1 verified: 1 valid, 0 not valid.")
    for files in ([named[0]], [named[0], str(root / "ocfl_layout.json")]):
        assert run(["verify", *files]) == WRONG_USE
        out, err = capsys.readouterr()
        assert (out, f"`prefect-collect verify {root}`" in err) == ("", True), err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: (root / "object/0=ocfl_object_1.1").unlink(), "problem: object/: no object is declared in it"),
        (lambda root: (root / "gone").mkdir(), "problem: gone/: no object is declared in it"),
        (lambda root: (root / "extensions/x/y").mkdir(parents=True), "1 verified: 1 valid"),
        (lambda root: (root / "ocfl_1.1.txt").touch(), "1 verified: 1 valid"),
        (lambda root: (root / "notes.txt").touch(), "warning: notes.txt: it belongs to no object"),
        (lambda root: (root / "link").symlink_to("object"), "problem: link: it is a symbolic link"),
        (lambda root: (root / "0=ocfl_1.1").write_text("x"), "problem: 0=ocfl_1.1: it is not the declaration"),
        (lambda root: (root / "object/0=ocfl_object_1.1").rename(root / "object/0=ocfl_object_1.0"), "1 could not be"),
    ],
)
def test_all_of_a_storage_root_is_accounted_for(
    made: Path, change: Callable[[Path], Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without an object is a problem of the storage root, and another file in it a warning."""
    change(made.parent)
    code = run(["verify", str(made.parent)])
    shown = capsys.readouterr().out
    assert said in shown
    assert (code == OK) == ("problem: " not in shown and "could not be" not in shown)


def test_a_storage_root_with_deeper_folders(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Objects are found at any depth, those in the content of another are not, and files above them are problems."""
    root = made.parent
    (root / "ab" / "cd").mkdir(parents=True)
    made.rename(root / "ab" / "cd" / "object")
    assert run(["verify", str(root)]) == OK
    assert capsys.readouterr().out.splitlines()[0] == str(root / "ab" / "cd" / "object")
    (root / "ab" / "stray").touch()
    (root / "ab" / "cd" / "object" / "v2" / "content" / "0=ocfl_object_1.1").touch()
    (root / "ab" / "ef").mkdir()
    (root / "ab" / "ef" / "inventory.json").touch()
    assert run(["verify", str(root), "--json"]) == FAILED
    of_root, of_object = json.loads(capsys.readouterr().out)
    assert [problem["path"] for problem in of_root["problems"]] == ["ab/ef/", "ab/stray"]
    assert [problem["path"] for problem in of_object["problems"]] == ["v2/content/0=ocfl_object_1.1"]


@pytest.mark.parametrize("left", ["bagit.txt", "manifest-sha256.txt", "mail.json", "job.json"])
def test_a_package_that_declares_a_storage_root_is_what_it_was(left: str, made: Path, tmp_path: Path) -> None:
    """The declaration and a good object in a package's folder do not have it taken for a storage root."""
    (made.parent / left).touch()
    assert run(["verify", str(made.parent)]) == FAILED


INVENTORY = next_version(None, "object", {ONE: ["v1/content/a"]}, {"a": ONE, "b": ONE}, SAID)
Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda v: v.update(type="https://ocfl.io/1.0/spec/#inventory"), "not of OCFL 1.1"),
        (lambda v: v.update(digestAlgorithm="md5"), "digestAlgorithm is md5"),
        (lambda v: v.update(contentDirectory=".."), "contentDirectory"),
        (lambda v: v.update(head="v2"), "not v1 to v2"),
        (lambda v: v.update(head="v9999999"), "not v1 to v9999999"),
        (lambda v: v.update(head="v01"), "head"),
        (lambda v: v.update(more=1), "more"),
        (lambda v: v["manifest"].update({TWO: ["v1/content/c"]}), "a hash that no version has"),
        (lambda v: v["versions"]["v1"]["state"].update({TWO: ["c"]}), "a hash that the manifest has not"),
        (lambda v: v["manifest"].update({ONE: ["v2/content/a"]}), "not below a version's content"),
        (lambda v: v["manifest"].update({ONE: ["v1/content/../../../a"]}), "not allowed"),
        (lambda v: v["manifest"].update({ONE: ["/etc/passwd"]}), "not allowed"),
        (lambda v: v["manifest"].update({ONE.upper(): ["v1/content/b"]}), "a hash twice"),
        (lambda v: v["manifest"].update({"0": ["v1/content/b"]}), "no sha256"),
        (lambda v: v["versions"]["v1"]["state"].update({ONE: ["a", "a"]}), "twice"),
        (lambda v: v["versions"]["v1"]["state"].update({ONE: ["a", "a.b", "a/b"]}), "another one's folder: 'a'"),
        (lambda v: v["versions"]["v1"]["state"].update({ONE: []}), "without paths"),
        (lambda v: v["versions"]["v1"].update(created="yesterday"), "created"),
    ],
)
def test_inventories_that_break_a_rule_are_refused(change: Change, why: str) -> None:
    """Each rule of section 3.5 of OCFL 1.1 that readers rely on is checked, with words."""
    values = json.loads(INVENTORY.to_bytes())
    assert parsed_inventory(json.dumps(values).encode()) == INVENTORY
    change(values)
    with pytest.raises(BadValue, match=why.replace("(", "\\(")):
        parsed_inventory(json.dumps(values).encode())


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_an_object_of_another_tool(tmp_path: Path, algorithm: str) -> None:
    """An object that ocfl-py made is valid with its files counted; a changed byte is told; its logs are a warning."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_bytes(b"12345")
    folder = tmp_path / "object"
    make_object(tmp_path / "files", folder, algorithm)
    found = verify(folder)
    assert (found.problems, found.items, found.bytes, found.tool) == ([], 1, 5, "")
    (folder / "logs").mkdir()
    (folder / "logs" / "log.txt").touch()
    assert [problem.path for problem in verify(folder).warnings] == ["logs/log.txt"]
    (folder / "v1" / "content" / "a.txt").write_bytes(b"12346")
    assert [problem.path for problem in verify(folder).problems] == ["v1/content/a.txt"]


def test_other_destinations_are_refused_before_the_start(tmp_path: Path) -> None:
    """A folder or bucket with other things is refused when an export is asked for."""
    (tmp_path / "x").touch()
    for store in (DirectoryStore(tmp_path), MemoryStore({"x": b""})):
        with pytest.raises(PackageExists, match="holds other things"):
            Delivery(store, "ocfl").require_free("object")
    Delivery(DirectoryStore(tmp_path / "new"), "ocfl").require_free("object")
    assert not (tmp_path / "new").exists()


def test_the_id_of_an_object() -> None:
    """It stays when a source is renamed, and differs with the kind and the place of the source."""
    one = {"name": "one", "type": "file-source", "location": "/srv/docs"}
    assert object_name(one) == object_name({**one, "name": "two"})
    assert object_name(one).startswith("srv-docs-")
    assert (
        len({object_name(one), object_name({**one, "type": "x"}), object_name({**one, "location": "/srv/docz"})}) == 3
    )
    long = object_name({"type": "s3", "location": "s3://" + "b/" * 500})
    assert len(long) <= 100
    assert long != object_name({"type": "s3", "location": "s3://" + "b/" * 501})
