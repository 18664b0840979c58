"""The names by which packages are told from other folders and archives."""

from __future__ import annotations

import pytest

from prefect_collect.formats import FORMATS
from prefect_collect.packages.marks import DESCRIPTIONS, is_own_name, marks_archive, marks_folder

OWN = [
    *DESCRIPTIONS, "BAGIT.TXT", "bag-info.txt", "package-info.txt", "manifest-sha256.txt", "tagmanifest-md5.txt",
    "group-sha256.txt",
]  # fmt: skip
LISTS = [
    "items.csv", "items.parquet", "EXCEPTIONS.csv", "fetch.txt", "chain-of-custody.pdf", "ocfl.json",
    "inventory.json.sha256",
]  # fmt: skip
NONE = ["my-bagit.txt", "manifest.txt", "manifest-sha256.csv", "inventory.json", "data", "users.json", "data.csv", ""]


@pytest.mark.parametrize("name", OWN)
def test_files_of_packages(name: str) -> None:
    """Each marks a folder, and an archive at any depth."""
    assert is_own_name(name)
    assert marks_folder(name)
    for folder in ("", "a/", "a/b/", "a\\"):
        assert marks_archive(f"{folder}{name}")


def test_declarations_of_ocfl() -> None:
    """That of a storage root marks it, and belongs to no package; another version's marks an archive alone."""
    assert marks_folder("0=ocfl_1.1")
    assert not is_own_name("0=ocfl_1.1")
    for name in ("0=ocfl_1.0", "0=ocfl_object_1.0"):
        assert not marks_folder(name)
        assert marks_archive(name)
    assert is_own_name("0=ocfl_object_1.0")


@pytest.mark.parametrize("name", LISTS)
def test_lists_and_documents(name: str) -> None:
    """One in a folder says nothing, as it may lie beside packages; in an archive it is what a package has left."""
    assert not marks_folder(name)
    assert not is_own_name(name)
    assert marks_archive(f"a/{name}")


def test_the_payload() -> None:
    """The payload of a bag is a folder, not a file; in an archive it is at the top, or in one folder."""
    assert marks_folder("data/")
    assert marks_archive("data/a.txt")
    assert marks_archive("bag/data/a.txt")
    assert not marks_archive("a/bag/data/a.txt")
    assert not marks_archive("metadata/a.txt")


@pytest.mark.parametrize("name", NONE)
def test_other_names(name: str) -> None:
    """What only resembles such a name marks nothing."""
    assert not marks_folder(name)
    assert not marks_archive(name)
    assert not is_own_name(name)


def test_every_format_has_one() -> None:
    """The file that describes a package of a format marks it, and so does the list of what is not delivered."""
    for facts in FORMATS.values():
        assert marks_folder(facts.description)
        assert marks_archive(f"x/{facts.list_name}")
