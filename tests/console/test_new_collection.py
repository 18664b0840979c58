"""The form of a new collection: its fields become a source, a query, an export and a schedule, or a sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prefect_collect.blocks import FileSource, HttpListSource, MboxSource, ObjectStoreSource, SftpSource
from prefect_collect.console.credential_choices import is_typed
from prefect_collect.console.new_collection import collection_parameters, query_of, source_of, timing_of
from prefect_collect.console.routes_packages import export_parameters
from prefect_collect.console.samples import Samples
from prefect_collect.errors import InvalidQuery, UsageError
from prefect_collect.flows.auto_exports import AutoExport
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.formats.dataset import Dataset
from prefect_collect.formats.load_file import LoadFile
from prefect_collect.formats.mail_set import MailSet
from prefect_collect.sources.sampling import FIRST, MOST, Sample

FOLDER = {"from": "new", "location": "/srv/docs"}


def test_a_folder() -> None:
    """A path is a folder, on whatever machine it will be."""
    source = source_of({**FOLDER, "source_name": "Docs", "follow_symlinks": "yes"})
    assert isinstance(source, FileSource)
    assert (str(source.root), source.name, source.follow_symlinks) == ("/srv/docs", "Docs", True)


@pytest.mark.parametrize(("location", "shown"), [("file:///srv/docs", "/srv/docs"), ("mbox:file:///srv", "mbox:/srv")])
def test_a_folder_by_its_url(location: str, shown: str) -> None:
    """A file:// URL is the folder of its path, also after a kind of what lies inside files."""
    assert source_of({"from": "new", "location": location, "follow_symlinks": "yes"}).location() == shown


@pytest.mark.parametrize("location", ["/srv/docs", "mbox:/srv/docs", "file:///srv/docs"])
@pytest.mark.parametrize(
    "field", ["endpoint_url", "region", "anonymous", "request_payer", "allow_private", "saved_credentials"]
)
def test_an_option_that_a_folder_does_not_have(location: str, field: str) -> None:
    """What goes with a URL only is refused by its name, and not passed over."""
    with pytest.raises(UsageError, match=rf"\[{field.removeprefix('saved_')}=(yes|True)\]"):
        source_of({"from": "new", "location": location, field: "yes"})


@pytest.mark.parametrize(
    ("location", "typed"),
    [("", False), ("imaps", False), ("imaps:", False), ("imaps:/", False), ("mbox:", False), ("imaps://", True),
     ("/srv", True), ("~/docs", True), ("./docs", True), ("mbox:/srv", True), ("mbox:s3://bucket", True)],
)  # fmt: skip
def test_a_location_that_is_being_typed(location: str, typed: bool) -> None:
    """Only a path or a URL gets an answer about its credentials."""
    assert is_typed({"location": f" {location}"}) is typed


@pytest.mark.parametrize("url", ["s3://bucket/a", "gs://bucket", "az://container/p"])
def test_a_bucket(url: str) -> None:
    """A URL is a bucket, with its server."""
    source = source_of({"from": "new", "location": url, "endpoint_url": "http://localhost:9000/", "region": ""})
    assert isinstance(source, ObjectStoreSource)
    assert (source.url, source.endpoint_url, source.region) == (url, "http://localhost:9000", None)


def test_a_folder_on_a_server() -> None:
    """A URL of SFTP is a folder on a server, whose links may be followed."""
    source = source_of({"from": "new", "location": "sftp://ann@host/mail", "follow_symlinks": "yes"})
    assert isinstance(source, SftpSource)
    assert (source.url, source.follow_symlinks) == ("sftp://ann@host/mail", True)


def test_a_list_of_urls() -> None:
    """A list of URLs may be allowed to lead to private addresses."""
    source = source_of({"from": "new", "location": "urls:///srv/list.jsonl", "allow_private": "yes"})
    assert isinstance(source, HttpListSource)
    assert source.allow_private


def test_what_lies_inside_files() -> None:
    """A kind before a path or URL looks into the files there, which are read with the form's options."""
    source = source_of({"from": "new", "location": "mbox:s3://bucket/x", "endpoint_url": "http://localhost:9000"})
    assert isinstance(source, MboxSource)
    assert isinstance(source.inside, ObjectStoreSource)
    assert source.inside.endpoint_url == "http://localhost:9000"
    folder = source_of({"from": "new", "location": "mbox:/srv/mail", "source_name": "Mail"})
    assert (folder.name, folder.location()) == ("Mail", "mbox:/srv/mail")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"from": "new"}, "location"),
        ({"from": "saved"}, "source"),
        ({"from": "new", "location": "ftp://x/y"}, "url"),
        ({"from": "new", "location": "s3://b"}, "bucket"),
        ({"from": "new", "location": "sftp://ann:abc@host/x"}, "password"),
        ({"from": "new", "location": "mbox:sftp://ann@host/x"}, "mbox: goes before a folder"),
        ({**FOLDER, "source_name": "<b>"}, "name"),
        ({"from": "new", "location": "s3://bucket/p?X-Amz-Signature=abc"}, "signature"),
        ({"from": "new", "location": "s3://bucket/p", "endpoint_url": "localhost"}, "endpoint_url"),
        ({"from": "new", "location": "/a\0b"}, ""),
    ],
)
def test_a_source_that_cannot_be(fields: dict[str, str], word: str) -> None:
    """What is wrong is said in words, and a signature is not repeated."""
    with pytest.raises(UsageError) as caught:
        source_of(fields)
    assert word in str(caught.value)
    assert "abc" not in str(caught.value)


def test_filters() -> None:
    """Patterns by line, sizes with their unit, times in UTC."""
    query = query_of(
        {
            "include": "*.eml\r\n\r\n 2024/** ", "exclude": "", "min_size": "10 MB", "max_size": "1.5GiB", "limit": "7",
            "modified_after": "2024-05-06T07:08",
        }
    )  # fmt: skip
    assert query.include == ("*.eml", "2024/**")
    assert (query.min_size, query.max_size, query.limit) == (10 << 20, 3 << 29, 7)
    assert query.modified_after == datetime(2024, 5, 6, 7, 8, tzinfo=UTC)
    assert query_of({}).to_json() == {}


@pytest.mark.parametrize(
    "fields",
    [{"min_size": "ten"}, {"limit": "-1"}, {"limit": "1e3"}, {"modified_after": "soon"}, {"min_size": "9" * 40}],
)
def test_filters_that_cannot_be(fields: dict[str, str]) -> None:
    """A field that cannot be used is named."""
    with pytest.raises(InvalidQuery, match=next(iter(fields))):
        query_of(fields)


def test_a_collection() -> None:
    """The export to follow is asked for by its box only; what is not given stays the default."""
    source = source_of(FOLDER)
    fields = {
        **FOLDER,
        "name": " n ",
        "custodian": " Anna ",
        "since": "yes",
        "export": "yes",
        "export_location": "/srv/out",
        "export_format": "directory",
    }
    given = collection_parameters(fields, source)
    assert given["auto_export"] == AutoExport(destination="/srv/out", format="directory")
    assert (given["name"], given["since"], given["store"], given["query"]) == ("n", "last", None, None)
    assert (given["custodian"], collection_parameters(FOLDER, source)["custodian"]) == ("Anna", None)
    assert collection_parameters({**fields, "export": ""}, source)["auto_export"] is None


@pytest.mark.parametrize(
    "fields",
    [{}, {"export_location": "/x", "export_format": "rar"}, {"export_location": "/x", "export_when": "never"},
     {"export_destination": "collect-tape/x"}],
)  # fmt: skip
def test_an_export_that_cannot_be(fields: dict[str, str]) -> None:
    """An export without a destination, or with a choice that the page does not have, is refused."""
    with pytest.raises(UsageError):
        collection_parameters({**FOLDER, "export": "yes", **fields}, source_of(FOLDER))


def test_the_dialog_of_an_export() -> None:
    """A picked destination comes before a typed one; an unknown format, or no destination, is refused."""
    picked = export_parameters({"destination": "collect-s3-store/x", "location": "/y", "sha512": "yes", "name": " "})
    assert picked == {
        "destination": "collect-s3-store/x", "format": "bagit", "name": None, "sha512": True, "portable_names": False,
    }  # fmt: skip
    for fields in ({}, {"location": " "}, {"location": "/y", "format": "rar"}):
        with pytest.raises(UsageError):
            export_parameters(fields)


def test_the_fields_of_duplicates() -> None:
    """They go into an export of either form as they are; empty ones are left out, and another choice is refused."""
    typed = {"location": "/y", "deduplicate": "global", "duplicates_of": " a,b  a\n"}
    made = export_parameters(typed)
    assert (made["deduplicate"], made["duplicates_of"]) == ("global", ["a", "b"])
    with pytest.raises(UsageError, match="deduplicate must be custodian or global"):
        export_parameters({**typed, "deduplicate": "all"})
    follows = {"export": "yes", "export_location": "/x", "export_deduplicate": "custodian"}
    auto_export = collection_parameters({**FOLDER, **follows}, source_of(FOLDER))["auto_export"]
    assert (auto_export.deduplicate, auto_export.duplicates_of) == ("custodian", None)


def test_the_fields_of_a_load_file() -> None:
    """They count for load files alone; what is empty has its default, and a wrong field is refused by its name."""
    typed = {
        "location": "/y", "format": "loadfile", "lf_prefix": " ABC ", "lf_width": "6", "lf_profile": "everlaw",
        "lf_tables": "both", "lf_volume_bytes": "4 GiB", "lf_volume_items": "", "lf_lines": "",
    }  # fmt: skip
    assert LoadFile.of(export_parameters(typed)["load_file"]) == LoadFile(
        prefix="ABC", width=6, profile="everlaw", tables="both", volume_bytes=4 << 30
    )
    assert "load_file" not in export_parameters({**typed, "format": "bagit"})
    own = export_parameters({**typed, "lf_lines": "A = control_number\r\nB = native_path"})["load_file"]
    assert LoadFile.of(own).columns.columns == (("A", "control_number"), ("B", "native_path"))
    for name, value in (("width", "x"), ("volume_items", "-1"), ("volume_bytes", "much"), ("prefix", "A1")):
        with pytest.raises(UsageError, match=name):
            export_parameters({**typed, f"lf_{name}": value})
    following = {"export": "yes", "export_location": "/x", "export_format": "loadfile", "export_lf_prefix": "ABC"}
    made = collection_parameters({**FOLDER, **following}, source_of(FOLDER))["auto_export"]
    assert made.load_file == LoadFile(prefix="ABC")


def test_the_fields_of_mail_and_datasets() -> None:
    """Each form's fields count for its own format alone, whatever the others hold."""
    typed = {
        "location": "/y", "lf_prefix": "A1", "mail_messages": "mbox", "mail_mbox_of": "all",
        "mail_volume_bytes": "1 GiB", "dataset_rows": "csv", "dataset_hive": "yes",
    }  # fmt: skip
    mail = export_parameters({**typed, "format": "mail-directory"})
    assert MailSet.of(mail["mail"]) == MailSet(mbox_of="all", volume_bytes=1 << 30)
    dataset = export_parameters({**typed, "format": "dataset"})
    assert Dataset.of(dataset["dataset"]) == Dataset(rows="csv", hive=True)
    assert not {"load_file", "dataset"} & mail.keys()
    assert not {"load_file", "mail"} & dataset.keys()
    with pytest.raises(UsageError, match="volume_bytes must be a size"):
        export_parameters({**typed, "format": "mail", "mail_volume_bytes": "much"})


def test_custodians_by_pattern() -> None:
    """Each line is a pattern and a name, divided by its last =; other lines are refused."""
    fields = {"location": "/srv/docs", "custodians": " mail/anna/** = Anna Lee \n\nyear=2024/**=Bo"}
    assert collection_parameters(fields, source_of(fields))["custodians"] == [
        {"pattern": "mail/anna/**", "custodian": "Anna Lee"}, {"pattern": "year=2024/**", "custodian": "Bo"},
    ]  # fmt: skip
    for text in ("mail/**", "mail/**=", "[a=Bo"):
        with pytest.raises(UsageError):
            collection_parameters({**fields, "custodians": text}, source_of(fields))


def test_schedules() -> None:
    """A cron expression, or a number of hours, with a zone."""
    assert timing_of({"cron": "0 3 * * *", "timezone": "Europe/Berlin"}) == {
        "cron": "0 3 * * *",
        "timezone": "Europe/Berlin",
    }
    assert timing_of({"every_hours": "6"}) == {"every": timedelta(hours=6), "timezone": "UTC"}
    for fields in ({}, {"every_hours": "0"}, {"every_hours": "x"}):
        with pytest.raises(UsageError):
            timing_of(fields)


def test_samples() -> None:
    """A sample for the count is kept for two minutes, by all fields of its source; a test always looks anew."""
    looks: list[tuple[str, int]] = []
    now = 0.0

    def take(source: Any, most: int, seconds: float) -> Sample:
        looks.append((source.location(), most))
        return Sample((), is_whole=True)

    samples = Samples(clock=lambda: now, take=take)
    one, two = source_of(FOLDER), source_of({**FOLDER, "follow_symlinks": "yes"})
    for _ in range(3):
        samples.large(one)
    samples.large(two)
    samples.first(one)
    assert looks == [("/srv/docs", MOST), ("/srv/docs", MOST), ("/srv/docs", FIRST)]
    now = 121.0
    samples.large(one)
    assert len(looks) == 4


def test_the_fields_of_a_bag() -> None:
    """The dialog's tags, one a line, and its profile become the options of a bag; another format takes none."""
    typed = {"destination": "/exports", "format": "bagit-tar", "bag_tags": "A=é\r\n\r\n A = b=c \r\n"}
    assert BagOptions.of(export_parameters(typed)["bag"]).lines == (("A", "é"), ("A", "b=c"))
    assert "bag" not in export_parameters({**typed, "bag_tags": ""})
    assert "bag" not in export_parameters({**typed, "format": "loadfile"})
    with pytest.raises(UsageError, match="no JSON"):
        export_parameters({**typed, "bag_profile": "{"})
