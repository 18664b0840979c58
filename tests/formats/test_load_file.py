"""The options of load files, their profiles, and which options a format takes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from prefect_collect.errors import UsageError
from prefect_collect.flows import AutoExport
from prefect_collect.formats import FORMATS, OPTION_GROUPS, require_options
from prefect_collect.formats.facts import FACTS, REQUIRED
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.formats.profiles import PRESETS, profile_of

_OWN = "# mine\nDoc ID = control_number\n\nFile = native_path\nA/B = md5\n"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("prefix", ["", "A1", "7", "ä", "A B", "-A", "A" * 33, "[A]", None, "A\n"]),
        ("width", [3, 13, "8", True, None]),
        ("profile", ["", "relativty", None, "A = control_number", "A = nothing\nB = native_path", 7]),
        ("tables", ["xls", None]),
        ("encoding", ["latin-1", "UTF-8", None]),
        ("unencodable", ["ignore", None]),
        ("volume_items", [0, -1, 1.5, "7", True]),
        ("volume_bytes", [0, "4G"]),
        ("continue_from", ["", "abc", 7]),
    ],
)
def test_a_wrong_option_is_refused_by_its_name(field: str, wrong: list[Any]) -> None:
    """Whatever is wrong with an option, the error is one of use and names the field."""
    for value in wrong:
        with pytest.raises(UsageError, match=field):
            LoadFile(**{field: value})


def test_options_travel_as_json() -> None:
    """What `to_json` returns makes the same options; a field that does not exist is refused by its name."""
    options = LoadFile(prefix="ABC-", profile=_OWN, encoding="utf-16", volume_items=5)
    assert LoadFile.of(options.to_json()) == options
    assert LoadFile.of(None) == LoadFile.of({}) == LoadFile()
    with pytest.raises(UsageError, match="load_file has no field 'widht'"):
        LoadFile.of({"widht": 7})
    with pytest.raises(UsageError, match="load_file must be a table"):
        LoadFile.of([])  # type: ignore[arg-type]


def test_a_profile_of_ones_own() -> None:
    """Lines name the columns in their order; comments and empty lines do not count."""
    assert profile_of(_OWN).columns == (
        ("Doc ID", "control_number"),
        ("File", "native_path"),
        ("A/B", "md5"),
    )


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("A = control_number", "needs a column with the fact native_path"),
        (
            "A = control_number\nB = control_number\nC = native_path",
            "Line 2 of the profile names the fact control_number again",
        ),
        ("A = control_number\na = native_path", "Line 2 of the profile names the column 'a' again"),
        ("A control_number\nB = md5", "Line 1 of the profile is not COLUMN NAME = FACT"),
        ("A=B = control_number", "Line 1 of the profile names a column 'A=B'"),
        ("þ = control_number", "Line 1 of the profile names a column 'þ'"),
        ("A = control_number\nB = native_path\nC = to\nD = to", "Line 4 of the profile names the fact to again"),
        ("=" * (64 << 10) + "=", "more than 65,536 characters"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_line(lines: str, what: str) -> None:
    """Each way to write a profile wrongly has its own words."""
    with pytest.raises(UsageError, match=re.escape(what)):
        profile_of(lines)


def test_the_presets_keep_the_rules_of_their_systems() -> None:
    """Each has what the package is verified by; names keep the published rules; numbers have a last one where asked."""
    for name, preset in PRESETS.items():
        facts = [fact for _, fact in preset.columns]
        assert preset.name == name
        assert set(facts) <= FACTS.keys()
        assert all(facts.count(fact) == 1 for fact in REQUIRED)
        assert {"text_path", "sha256", "md5", "sha1", "original_path", "custodian", "from", "sent"} <= set(facts)
    names = {preset: [name for name, _ in PRESETS[preset].columns] for preset in PRESETS}
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]{0,11}", name) for name in names["concordance"])
    assert all(re.fullmatch(r"[A-Za-z0-9_ .-]+", name) for name in names["disco"])
    assert [name for name, fact in PRESETS["everlaw"].columns if fact == "end_number"] == ["End Bates"]
    assert PRESETS["disco"].encodings == ("utf-8",)
    with pytest.raises(UsageError, match=r"disco reads load files in utf-8 only.*\[encoding=utf-16\]"):
        LoadFile(profile="disco", encoding="utf-16")


def test_an_option_of_another_format_is_refused() -> None:
    """What only some formats take is refused for others, which the message names; so is an unknown format."""
    with pytest.raises(
        UsageError, match=r"sha512 is no option .*bagit, directory, bagit-tar, .*\. \[format=loadfile\]"
    ):
        require_options("loadfile", {"sha512": True})
    with pytest.raises(UsageError, match=r"load_file \(prefix.* is no option .* as loadfile, loadfile-directory"):
        require_options("bagit", {"load_file": LoadFile(), "sha512": True})
    with pytest.raises(UsageError, match="no such format"):
        require_options("tar", {})
    for name, facts in FORMATS.items():
        require_options(name, dict.fromkeys(("sha512", "portable_names", *OPTION_GROUPS)))
        assert facts.undelivered
        assert facts.title


def test_an_export_to_follow_checks_its_options() -> None:
    """An export that is made with a collection refuses what its format does not take, when it is asked for."""
    made = AutoExport(destination="/out", format="loadfile", load_file={"prefix": "ABC"})  # type: ignore[arg-type]
    assert made.load_file == LoadFile(prefix="ABC")
    with pytest.raises(UsageError, match="portable_names is no option"):
        AutoExport(destination="/out", format="loadfile-directory", portable_names=True)
    with pytest.raises(UsageError, match="prefix must not end in a digit"):
        AutoExport(destination="/out", format="loadfile", load_file={"prefix": "A1"})  # type: ignore[arg-type]
