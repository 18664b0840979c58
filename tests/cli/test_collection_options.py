"""The options of a collection on the command line agree with what takes their values."""

from __future__ import annotations

import inspect
import json
from dataclasses import fields
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from typer import BadParameter
from typer.models import OptionInfo

from prefect_collect.blocks import FileSource, HttpListSource, ObjectStoreSource
from prefect_collect.cli._collection_options import OPTIONS, CollectionOptions
from prefect_collect.cli._export_options import ExportOptions, declarations, option_in
from prefect_collect.cli._format_options import format_options_of
from prefect_collect.cli._job_commands import export
from prefect_collect.cli._options import custodian_of
from prefect_collect.collecting.policy import CollectionPolicy
from prefect_collect.errors import JobNotFound, UsageError
from prefect_collect.flows import AutoExport, collect
from prefect_collect.formats import OPTION_GROUPS, Format
from prefect_collect.formats.options import FormatOptions
from prefect_collect.sources.query import Query
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import new_job

DECLARED = declarations(CollectionOptions)
TAKEN = {
    "flow": collect.parameters.properties,
    "export": AutoExport.model_json_schema()["properties"],
    "format": {name: {} for group in OPTION_GROUPS.values() for name in group.option_names()},
    "query": {each.name: {} for each in fields(Query)},
    "source": {**FileSource.model_fields, **HttpListSource.model_fields, **ObjectStoreSource.model_fields},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_what_it_is_given_to(name: str) -> None:
    """Each option sets a field that the flow, the export, the query or the source has."""
    assert (OPTIONS[name].field or name) in TAKEN[OPTIONS[name].group]


@pytest.mark.parametrize("group", OPTION_GROUPS.values())
def test_an_option_of_a_format_is_one_of_the_command_line(group: type[FormatOptions]) -> None:
    """Each has its choices there, and the help of `export` says its default."""
    declared, kinds = declarations(ExportOptions), get_type_hints(group)
    for option, field in group.option_names().items():
        taken = declared[option].__origin__
        choices = [get_args(one) for one in (taken, *get_args(taken)) if get_origin(one) is Literal]
        assert choices == ([get_args(kinds[field])] if get_origin(kinds[field]) is Literal else [])
        default = getattr(group, field)
        shown = option_in(declared[option]).show_default
        assert shown == (True if default in (None, (), False) else str(default))


@pytest.mark.parametrize("name", [name for name, of in OPTIONS.items() if of.group in ("flow", "export")])
def test_an_option_says_what_the_flow_says(name: str) -> None:
    """An option has the default, bounds and choices of the parameter that it sets, and the engine's default."""
    taken = TAKEN[OPTIONS[name].group][OPTIONS[name].field or name]
    assert getattr(CollectionOptions(), name) == taken.get("default")
    policy = CollectionPolicy()
    engine = {**policy.recorded(), "concurrency": policy.concurrency, "tries": policy.retry.tries}
    assert engine.get(name, taken.get("default")) == taken.get("default")
    kind, *said = get_args(DECLARED[name])
    [option] = [one for one in said if isinstance(one, OptionInfo)]
    kinds = [one for one in taken.get("anyOf", [taken]) if one["type"] != "null"]
    assert (option.min, option.max) in [(one.get("minimum"), one.get("maximum")) for one in kinds]
    choices = [each for one in (kind, *get_args(kind)) if get_origin(one) is Literal for each in get_args(one)]
    assert choices == ([one["const"]] if "const" in (one := kinds[0]) else one.get("enum", []))


def test_a_load_file_to_follow(tmp_path: Path) -> None:
    """Its options go into the export that follows, over those of a draft; a profile is a preset or a file's lines."""
    lines = "BEGDOC = control_number\nLINK = native_path\n"
    (tmp_path / "own.txt").write_text(lines)
    given = {"export_to": str(tmp_path / "out"), "export_format": "loadfile", "profile": str(tmp_path / "own.txt")}
    made = CollectionOptions(**given, given=frozenset(given)).auto_export()  # type: ignore[arg-type]
    assert made is not None
    assert (made["format"], made["load_file"]) == ("loadfile", {"profile": lines})
    changed = CollectionOptions(prefix="ABC", given=frozenset({"prefix"})).auto_export(made)
    assert changed is not None
    assert changed["load_file"] == {"profile": lines, "prefix": "ABC"}
    with pytest.raises(UsageError, match="--prefix needs --export-to"):
        CollectionOptions(prefix="ABC", given=frozenset({"prefix"})).auto_export()


@pytest.mark.parametrize(
    ("name", "foreign", "own"),
    [("bagit", {"load_file": {"prefix": "X"}}, {"sha512": True}), ("loadfile", {"sha512": True}, {})],
)
def test_the_format_of_an_export_to_follow_changes(
    name: Format, foreign: dict[str, object], own: dict[str, object]
) -> None:
    """The options of a draft's export that the new format does not take go; what is given with it is not dropped."""
    present = {"destination": "/x", "name": "n", "format": "directory", **foreign}
    given = {"export_format": name, **own}
    made = CollectionOptions(**given, given=frozenset(given)).auto_export(present)  # type: ignore[arg-type]
    assert made == {"destination": "/x", "name": "n", "format": name, **own}
    wrong = CollectionOptions(prefix="A", export_format="bagit", given=frozenset({"prefix", "export_format"}))
    with pytest.raises(UsageError, match="--prefix is no option of the format bagit; leave it out, or export with"):
        wrong.auto_export(present)


@pytest.mark.parametrize(
    ("present", "given", "made"),
    [
        (
            {"format": "bagit-group", "bag": {"tags": ["A=b"], "volume_bytes": 5, "volumes": "tar"}},
            {"export_format": "bagit"},
            {"format": "bagit", "bag": {"tags": ["A=b"]}},
        ),
        (
            {"format": "bagit", "bag": {"tags": ["A=b", "Bag-Count = 3"]}},
            {"export_format": "bagit-group"},
            {"format": "bagit-group", "bag": {"tags": ["A=b"]}},
        ),
        (
            {"format": "mail", "mail": {"messages": "mbox", "mbox_of": "all", "volume_bytes": 5}},
            {"messages": "eml"},
            {"format": "mail", "mail": {"messages": "eml"}},
        ),
        (
            {"format": "mail", "mail": {"messages": "mbox", "mbox_of": "all", "volume_bytes": None}},
            {"export_format": "mail-directory"},
            {"format": "mail-directory", "mail": {"messages": "mbox", "mbox_of": "all", "volume_bytes": None}},
        ),
    ],
)
def test_fields_that_no_longer_fit_go(
    present: dict[str, object], given: dict[str, object], made: dict[str, object]
) -> None:
    """A draft's export loses the fields that its new format, or its new form of messages, refuses, and no others."""
    options = CollectionOptions(**given, given=frozenset(given))  # type: ignore[arg-type]
    assert options.auto_export({"destination": "/x", **present}) == {"destination": "/x", **made}
    AutoExport(destination="/x", **made)  # type: ignore[arg-type]


def test_a_bag_to_follow(tmp_path: Path) -> None:
    """The export that follows takes tags and a profile's file, which an edit changes one by one, or is refused."""
    (tmp_path / "p.json").write_text('{"BagIt-Profile-Info": {"BagIt-Profile-Identifier": "urn:p"}}', encoding="utf-8")
    text = (tmp_path / "p.json").read_text(encoding="utf-8")
    given = CollectionOptions(
        export_to=str(tmp_path), tag=["A=b", "A=c"], bag_profile=str(tmp_path / "p.json"),
        given=frozenset({"export_to", "tag", "bag_profile"}),
    )  # fmt: skip
    made = given.auto_export()
    assert made is not None
    assert made["bag"] == {"tags": ["A=b", "A=c"], "profile": text}
    changed = CollectionOptions(tag=["D=e"], given=frozenset({"tag"})).auto_export(made)
    assert changed is not None
    assert changed["bag"] == {"tags": ["D=e"], "profile": text}
    with pytest.raises(UsageError, match="--tag needs --export-to"):
        CollectionOptions(tag=["D=e"], given=frozenset({"tag"})).auto_export()
    with pytest.raises(UsageError, match="cannot be read"):
        format_options_of("bagit", {"bag_profile": str(tmp_path / "missing")}, None)
    (tmp_path / "p.json").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        format_options_of("bagit", {"tag": ["A=b"], "bag_profile": str(tmp_path / "p.json")}, None)
    assert format_options_of("bagit", {"tag": None, "bag_profile": None}, None) == {}


def test_an_export_to_follow_that_could_not_conform() -> None:
    """A draft or schedule whose bag would lack a tag of its profile is refused when it is made."""
    rules = {"BagIt-Profile-Info": {"BagIt-Profile-Identifier": "urn:p"}, "Bag-Info": {"Funder": {"required": True}}}
    bag = {"profile": json.dumps(rules | {"Accept-Serialization": ["application/zip"]})}
    with pytest.raises(UsageError, match=r"lacks the tag Funder \(give each, as --tag 'Funder=…'\)"):
        AutoExport.model_validate({"destination": "/exports", "bag": bag})
    made = AutoExport.model_validate({"destination": "/exports", "bag": {**bag, "tags": ["Funder=X"]}})
    assert made.bag is not None
    assert made.bag.lines == (("Funder", "X"),)


def test_options_of_a_load_file(tmp_path: Path) -> None:
    """Only what is given goes to the flow; a file that is no profile, and a value out of bounds, are refused."""
    assert format_options_of("loadfile", {"prefix": None, "width": None, "hive": False}, None) == {}
    given = {"prefix": "ABC-", "profile": "EVERLAW"}
    assert format_options_of("loadfile", given, None) == {"load_file": given}
    (tmp_path / "latin").write_bytes(b"\xff = md5")
    (tmp_path / "large").write_bytes(b"#" * (65 << 10))
    for profile, what in (("latin", "not UTF-8"), ("large", "larger than"), ("", "cannot be read")):
        with pytest.raises(UsageError, match=what):
            format_options_of("loadfile", {"profile": str(tmp_path / profile)}, None)
    with pytest.raises(UsageError, match=r"prefix must not end in a digit.*\[prefix=A1\]"):
        format_options_of("loadfile", {"prefix": "A1"}, None)


def test_an_option_of_several_formats_goes_to_the_one_that_is_chosen() -> None:
    """The size of a volume is a load file's or an mbox file's, by the format; mail to follow has its form."""
    for name, group in (("loadfile", "load_file"), ("mail-directory", "mail")):
        assert format_options_of(name, {"volume_bytes": 5}, None) == {group: {"volume_bytes": 5}}
    with pytest.raises(UsageError, match="volume_bytes is of mbox files"):
        format_options_of("mail", {"volume_bytes": 5, "messages": "eml"}, None)
    given = {"export_to": "/out", "export_format": "mail", "messages": "eml"}
    made = CollectionOptions(**given, given=frozenset(given)).auto_export()  # type: ignore[arg-type]
    assert made is not None
    assert made["mail"] == {"messages": "eml"}


def test_an_export_to_follow_has_the_options_of_an_export() -> None:
    """`collect`, `draft` and `edit` take every option that `export` takes, and say whose it is."""
    own = {"context", "job", "to", "format", "name", "store", "single_writer", "json"}
    taken = inspect.signature(export).parameters
    assert {*taken} - own == {each.name for each in fields(ExportOptions)}
    for name in {*taken} - own:
        [alone, to_follow] = [option_in(hint) for hint in (taken[name].annotation, DECLARED[name])]
        words = alone.help or ""
        assert to_follow.help == f"For that export: {words[0].lower()}{words[1:]}"
    given = {"export_to": "/out", "export_format": "dataset", "hive": True}
    made = CollectionOptions(**given, given=frozenset(given)).auto_export()  # type: ignore[arg-type]
    assert made is not None
    assert made["dataset"] == {"hive": True}


def test_an_edit_without_options_of_the_export_keeps_it() -> None:
    """The export is as it was saved, with all that its format does not take, as another one would be another job."""
    present = {"destination": "/out", "format": "directory", "mail": None, "load_file": {"prefix": None}}
    assert CollectionOptions(min_size=2, given=frozenset({"min_size"})).auto_export(present) == present


def test_earlier_jobs_of_an_export_to_follow(tmp_path: Path) -> None:
    """They are named by the beginning of their ids, once each, and must be there."""
    source = MemorySource({"a": Thing("good", b"a")})
    job, store = new_job(DirectoryStore(tmp_path / "staging"), source).job_id, str(tmp_path / "staging")
    given = {"export_to": str(tmp_path / "out"), "duplicates_of": [job[:12], job]}
    made = CollectionOptions(**given, given=frozenset(given)).auto_export(store=store)  # type: ignore[arg-type]
    assert made == {"destination": str(tmp_path / "out"), "duplicates_of": [job]}
    given = {"export_to": str(tmp_path / "out"), "export_format": "loadfile", "continue_from": job[:12]}
    made = CollectionOptions(**given, given=frozenset(given)).auto_export(store=store)  # type: ignore[arg-type]
    assert made is not None
    assert made["load_file"] == {"continue_from": job}
    gone = CollectionOptions(duplicates_of=["0194c1b0"], given=frozenset({"duplicates_of"}))
    with pytest.raises(JobNotFound):
        gone.auto_export({"destination": "/x"}, store)
    with pytest.raises(UsageError, match="--volume-size needs --export-to"):
        CollectionOptions(volume_bytes=5, given=frozenset({"volume_bytes"})).auto_export()


def test_custodians_by_pattern() -> None:
    """The last = divides pattern and name; what is not that is refused."""
    assert custodian_of("year=2024/**= Anna Lee") == {"pattern": "year=2024/**", "custodian": "Anna Lee"}
    for text in ("mail/**", "=Anna", "mail/**=", "a=" + "x" * 201):
        with pytest.raises(BadParameter):
            custodian_of(text)
