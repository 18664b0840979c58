"""Whose data each item is: in the manifest, the error report, and the package's lists."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.collecting.custodians import Custodians
from prefect_collect.errors import UsageError
from prefect_collect.packages import verify
from prefect_collect.parameters import MOST_CUSTODIAN
from prefect_collect.stores import DirectoryStore
from prefect_collect.verification import verify_job
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, held, new_job, unsuccessful

THINGS = {
    "home/Ann Lee/a.txt": Thing("good", b"a"),
    "home/=Bo/mail/b.txt": Thing("good", b"b"),
    "home/Ann Lee/denied": Thing("denied", b"later"),
    "home/readme": Thing("good", b"c"),
    "other/x": Thing("denied"),
}


def collected(tmp_path: Path, **options: Any) -> Any:
    """Return a collection with these options of its record; one of its items succeeded at the second attempt."""
    source = MemorySource(dict(THINGS))
    folder = new_job(DirectoryStore(tmp_path / "staging"), source, options=options)
    attempt(folder, source)
    source.things["home/Ann Lee/denied"] = Thing("good", b"later")
    attempt(folder, source)
    return folder


@pytest.mark.parametrize(
    ("folder", "path", "whose"),
    [
        ("home/{custodian}", "home/ann/x/y.txt", "ann"),
        ("/home/{custodian}/", "home/ann/x", "ann"),
        ("home/{custodian}", "home/ann", "job"),
        ("home/{custodian}", "homes/ann/x", "job"),
        ("{custodian}", "ann/x", "ann"),
        ("*/mail-{custodian}.d/in", "x/mail-ann.d/in/1", "ann"),
        ("*/mail-{custodian}.d/in", "mail-ann.d/in/1", "job"),
        ("a.b/{custodian}", "axb/ann/x", "job"),
        ("{custodian}/x", "a\nb/x/1", "a\\nb"),
        ("{custodian}/x", "\udcff/x/1", "\\udcff"),
        ("{custodian}", f"{'a' * 300}/x", "a" * MOST_CUSTODIAN),
        ("", "home/ann/x", "job"),
    ],
)
def test_whose_an_item_is(folder: str, path: str, whose: str) -> None:
    """The name of the custodian's folder, as one line, else the job's custodian."""
    assert Custodians("job", folder).of(path) == whose


@pytest.mark.parametrize(
    "folder",
    ["home", "mail*-{custodian}", "{custodian}/{custodian}", "a//{custodian}", "x" * 2000 + "{custodian}", "\0"],
)
def test_a_folder_that_cannot_be_used(folder: str) -> None:
    """It is refused, and the message names the parameter."""
    with pytest.raises(UsageError, match="custodian_folder"):
        Custodians("", folder)


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_path_has_at_most_one_line(path: str, before: str) -> None:
    """Whatever a path is, its custodian is a line that a manifest can hold, or None."""
    text = "".join(char for char in before if char not in "*/{}\0" and not "\ud800" <= char <= "\udfff")
    whose = Custodians("", f"{text}{{custodian}}").of(path)
    assert whose is None or (0 < len(whose) <= MOST_CUSTODIAN and len(whose.splitlines()) == 1)


def test_manifest_and_report(tmp_path: Path) -> None:
    """Both name the item's custodian, after a retry too; one that is not known is null."""
    folder = collected(tmp_path, custodian_folder="home/{custodian}")
    assert {path: row["custodian"] for path, row in held(folder).items()} == {
        "home/Ann Lee/a.txt": "Ann Lee",
        "home/Ann Lee/denied": "Ann Lee",
        "home/=Bo/mail/b.txt": "=Bo",
        "home/readme": None,
    }
    assert unsuccessful(folder, 1)["home/Ann Lee/denied"]["custodian"] == "Ann Lee"
    assert unsuccessful(folder)["other/x"]["custodian"] is None
    assert verify_job(folder).valid


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_the_package(tmp_path: Path, format: str) -> None:
    """Its lists name each item's custodian, delivered or not; bag-info.txt names them all, and the job's first."""
    folder = collected(tmp_path, custodian_folder="home/{custodian}", custodian="Legal")
    job, result = export(folder, DirectoryStore(tmp_path / "out"), format)
    assert result.package is not None
    assert verify(result.package).valid
    assert {row["custodian"] for row in held(job).values()} == {"Ann Lee", "=Bo", "Legal"}
    if format == "directory":
        package = Path(result.package)
        with (package / "items.csv").open(encoding="utf-8", newline="") as file:
            rows = {row["original_path"]: row["custodian"] for row in csv.DictReader(file)}
        assert rows["home/Ann Lee/a.txt"] == "Ann Lee"
        assert rows["home/=Bo/mail/b.txt"] == "'=Bo"
        assert rows["other/x"] == "Legal"
        info = (package / "bag-info.txt").read_text().splitlines()
        assert [line for line in info if line.startswith("Custodian")] == [
            "Custodian: Legal", "Custodian: =Bo", "Custodian: Ann Lee",
        ]  # fmt: skip


def test_a_folder_that_fits_nothing(tmp_path: Path) -> None:
    """The result warns if no item lies in a custodian's folder, as a path that begins elsewhere is easily written."""
    source = MemorySource(dict(THINGS))
    for folder, warned in (("docs/home/{custodian}", True), ("home/{custodian}", False)):
        job = new_job(DirectoryStore(tmp_path), source, options={"custodian_folder": folder})
        warnings = attempt(job, source).warnings
        assert any("No item lies in a custodian's folder" in warning for warning in warnings) == warned


PATTERNS = [
    {"pattern": "home/*/mail/**", "custodian": "Mail team"},
    {"pattern": "denied", "custodian": "Dee"},
    {"pattern": "home/**", "custodian": "Ann"},
]


def test_custodians_by_pattern(tmp_path: Path) -> None:
    """The first pattern that matches says whose an item is, before any folder does; the rest is the job's custodian's.
    A retry, the package and its bag-info.txt keep that.
    """
    folder = collected(tmp_path, custodians=PATTERNS, custodian_folder="{custodian}", custodian="Legal")
    assert {path: row["custodian"] for path, row in held(folder).items()} == {
        "home/Ann Lee/a.txt": "Ann", "home/Ann Lee/denied": "Dee", "home/=Bo/mail/b.txt": "Mail team",
        "home/readme": "Ann",
    }  # fmt: skip
    assert unsuccessful(folder)["other/x"]["custodian"] == "other"
    assert verify_job(folder).valid
    _, result = export(folder, DirectoryStore(tmp_path / "out"), "directory")
    assert result.package is not None
    info = (Path(result.package) / "bag-info.txt").read_text().splitlines()
    assert [line.partition(": ")[2] for line in info if line.startswith("Custodian")] == [
        "Legal", "Ann", "Dee", "Mail team", "other",
    ]  # fmt: skip


def test_patterns_alone_make_the_lists_column(tmp_path: Path) -> None:
    """A package has the column of custodians if patterns alone name them."""
    _, result = export(collected(tmp_path, custodians=PATTERNS[:1]), DirectoryStore(tmp_path / "out"), "directory")
    assert result.package is not None
    assert "custodian" in (Path(result.package) / "items.csv").read_text(encoding="utf-8").splitlines()[0]


def test_a_pattern_that_fits_nothing(tmp_path: Path) -> None:
    """The result warns of it by name, also if an earlier pattern takes all that it matches; not of others."""
    source = MemorySource(dict(THINGS))
    added = [{"pattern": "home/readme", "custodian": "X"}, {"pattern": "Home/**", "custodian": "Y"}]
    job = new_job(DirectoryStore(tmp_path), source, options={"custodians": PATTERNS + added})
    (warning,) = [one for one in attempt(job, source).warnings if "custodian" in one]
    assert warning.endswith("[custodians=home/readme, Home/**]")


@pytest.mark.parametrize(
    "wrong",
    [
        [{"pattern": "a"}], [{"pattern": "a", "custodian": ""}], [{"pattern": " ", "custodian": "A"}],
        [{"pattern": "a", "custodian": "A\nB"}], [{"pattern": "[a", "custodian": "A"}],
        [{"pattern": "x" * 1_001, "custodian": "A"}], [{"pattern": "a", "custodian": "A"}] * 1_001,
        [{"pattern": "a\0", "custodian": "A"}], ["a=A"], [{"pattern": 1, "custodian": "A"}],
    ],
)  # fmt: skip
def test_patterns_that_cannot_be_used(wrong: Any) -> None:
    """They are refused, and the message names the parameter."""
    with pytest.raises(UsageError, match="custodian"):
        Custodians(patterns=wrong)


def test_without_custodians_nothing_changes(tmp_path: Path) -> None:
    """A package of a job that names none has neither a column nor a line of them."""
    _, result = export(collected(tmp_path), DirectoryStore(tmp_path / "out"), "directory")
    assert result.package is not None
    assert "custodian" not in (Path(result.package) / "items.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "Custodian" not in (Path(result.package) / "bag-info.txt").read_text()
