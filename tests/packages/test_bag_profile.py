"""Bags with tags of the user's own that conform to a BagIt profile, judged by bagit-profile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import bagit
import bagit_profile
import pytest

from prefect_collect.errors import UsageError
from prefect_collect.formats.bag_options import WRITTEN, BagOptions
from prefect_collect.formats.bag_planning import TAG_FILES
from prefect_collect.packages import PackagePlace, verify
from prefect_collect.packages.bags.tag_files import tag_names
from prefect_collect.packages.bags.tar import build_tar
from prefect_collect.stores import DirectoryStore
from tests.formats.test_bag_options import INFO, profile

URI = INFO["BagIt-Profile-Identifier"]
TAGS = (("Source-Organization", "Universität Zürich"), ("Contact-Name", "甲"), ("Contact-Name", "Ω"))
RULES: dict[str, Any] = {
    "Bag_Info": {"Source-Organization": {"required": True, "values": ["Universität Zürich"], "repeatable": False}},
    "Manifests_Required": ["sha256"], "Manifests_Allowed": ["sha256", "sha512"], "Allow_Fetch__txt": False,
    "Tag_Files_Required": ["items.csv"], "Tag_Files_Allowed": ["items.*"], "Accept_BagIt_Version": ["1.0"],
    "Serialization": "required", "Accept_Serialization": ["application/x-tar"],
}  # fmt: skip
BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"Bag_Info": {"Contact-Email": {"required": True}}}, "lacks the tag Contact-Email"),
    ({"Bag_Info": {"Source-Organization": {"values": ["X"]}}}, "Source-Organization is Universität Zürich"),
    ({"Bag_Info": {"Contact-Name": {"repeatable": False}}}, "Contact-Name stands 2 times"),
    ({"Manifests_Required": ["md5"], "Manifests_Allowed": ["md5", "sha256"]}, "manifest-md5.txt: the profile requires"),
    ({"Manifests_Required": [], "Manifests_Allowed": ["md5"]}, "manifest-sha256.txt: the profile does not allow"),
    ({"Tag_Manifests_Required": ["sha512"]}, "tagmanifest-sha512.txt: the profile requires"),
    ({"Tag_Files_Required": ["x/y.txt"], "Tag_Files_Allowed": ["*"]}, "x/y.txt: the profile requires"),
    ({"Tag_Files_Allowed": ["*.csv"]}, "items.parquet: the profile does not allow"),
    ({"Accept_BagIt_Version": ["0.97"]}, "declares BagIt 1.0"),
]


@pytest.fixture
def packed(staging: Any, exports: DirectoryStore, tmp_path: Path) -> tuple[Path, Path]:
    """Return a bag with tags as a TAR file, and the folder that GNU tar unpacked it to."""
    staging.stage({"a": b"alpha"})
    bag = BagOptions(tuple(f"{label}={value}" for label, value in TAGS), profile(**RULES))
    spec = staging.spec(bag=bag)
    build_tar(staging.input(staging.check(), spec), PackagePlace(exports, "docs.tar"))
    path = Path(exports.locate("docs.tar"))
    subprocess.run(["tar", "-xf", path, "-C", tmp_path], check=True)
    return path, tmp_path / "docs"


def judged(path: Path, folder: Path, text: str) -> bool:
    """Return whether bagit-profile finds that both conform."""
    theirs = bagit_profile.Profile(URI, text)
    try:
        return bool(theirs.validate_serialization(str(path)) and theirs.validate(bagit.Bag(str(folder))))
    except bagit_profile.ProfileValidationError:
        return False


def test_a_bag_that_conforms(packed: tuple[Path, Path]) -> None:
    """bagit reads the tags in their letters, and both it and verify find that the bag conforms to the profile."""
    path, folder = packed
    info = bagit.Bag(str(folder)).info
    assert (info["Source-Organization"], info["Contact-Name"]) == ("Universität Zürich", ["甲", "Ω"])
    assert [label for label in info if label not in WRITTEN] == ["Source-Organization", "Contact-Name"]
    lines = (folder / "bag-info.txt").read_text(encoding="utf-8").splitlines()
    assert lines[-4:] == [f"BagIt-Profile-Identifier: {URI}", *(f"{label}: {value}" for label, value in TAGS)]
    text = profile(**RULES)
    assert judged(path, folder, text)
    assert verify(path, profile=text).problems == []
    folder_rules = profile(**RULES | {"Serialization": "forbidden"})
    assert verify(folder, profile=folder_rules).problems == []
    assert "requires one file" in str(verify(folder, profile=text).problems)


@pytest.mark.parametrize(("rules", "said"), BROKEN)
def test_a_bag_that_does_not_conform(packed: tuple[Path, Path], rules: dict[str, Any], said: str) -> None:
    """Where bagit-profile finds that a bag does not conform, verify does too, and says why."""
    version = {"BagIt-Profile-Info": {**INFO, "BagIt-Profile-Version": "1.4.0"}}
    text = json.dumps(json.loads(profile(**RULES | rules)) | version)
    assert not judged(*packed, text)
    assert said in "; ".join(map(str, verify(packed[0], profile=text).problems))


def test_the_tag_files_that_an_export_promises(staging: Any) -> None:
    """What is held to a profile before an export starts are all tag files that a bag can have."""
    manifests = {f"{kind}-sha256.txt" for kind in ("manifest", "tagmanifest")}
    assert tag_names(staging.spec()) == {*TAG_FILES, *manifests, "bagit.txt", "bag-info.txt"}


def test_what_is_no_profile_and_what_is_no_bag(packed: tuple[Path, Path], exports: DirectoryStore) -> None:
    """A text that is no profile is refused; a bag that names another profile does not conform; nor does no bag."""
    with pytest.raises(UsageError, match="no JSON"):
        verify(packed[0], profile="{")
    another = json.dumps({"BagIt-Profile-Info": INFO | {"BagIt-Profile-Identifier": "urn:another"}})
    assert "does not name the profile" in str(verify(packed[1], profile=another).problems)
    empty = profile(**RULES | {"Data_Empty": True})
    assert "empty payload" in str(verify(packed[0], profile=empty).problems)
    (packed[1] / "fetch.txt").write_text("https://example.org/a - data/a\n")
    assert "fetch.txt: the profile does not allow it" in "; ".join(
        map(str, verify(packed[1], profile=profile(**RULES)).problems)
    )
