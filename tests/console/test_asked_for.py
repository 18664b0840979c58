"""What was asked for, as rows of the side sheet."""

from __future__ import annotations

import json

from prefect_collect.console.asked_for import asked_for
from prefect_collect.job_folder.folder import JobRecord
from prefect_collect.statuses import JobKind


def test_filters_and_options_are_named_in_words() -> None:
    """The place, each filter and each option that is set has a row; what is not set has none; a long list is cut."""
    record = JobRecord(
        "id",
        JobKind.COLLECTION,
        "name",
        {"name": "docs", "location": "/srv/docs", "settings": '{"follow_symlinks": true, "look_first": false}'},
        "docs",
        query={"exclude": [f"{n}.tmp" for n in range(25)], "max_size": 10 << 20},
        options={"custodian": "Zoë", "tries": 3, "since": None, "compress": True, "portable_names": False},
    )
    rows = dict(asked_for(record))
    patterns = rows.pop("Without paths like").splitlines()
    assert (patterns[0], len(patterns), patterns[-1]) == ("0.tmp", 21, "… 5 more")
    assert rows == {
        "Location of the source": "/srv/docs",
        "Source: follow symlinks": "yes",
        "Source: look first": "no",
        "Largest size": "10.0 MiB",
        "Tries": "3",
        "Compress": "yes",
    }


def test_fields_of_a_format_have_rows_of_their_own() -> None:
    """A BagIt profile is named by its identifier and a long text is cut, as the sheet is asked for again and again."""
    profile = json.dumps({"BagIt-Profile-Info": {"BagIt-Profile-Identifier": "urn:p", "Note": "x" * 100_000}})
    bag = {"tags": ["A=b", "C=d"], "profile": profile, "volume_bytes": 4 << 20}
    load_file = {"profile": "#" * 60_000, "width": 8, "continue_from": None}
    options = {"format": "bagit-group", "bag": bag, "load_file": load_file, "dataset": {"rows": "csv", "hive": False}}
    rows = dict(asked_for(JobRecord("id", JobKind.EXPORT, "name", {}, "docs", options=options)))
    assert len(rows.pop("Load file: profile")) == 1001
    assert rows == {
        "Format": "bagit-group",
        "Bag: tags": "A=b\nC=d",
        "Bag: profile": "urn:p",
        "Bag: volume bytes": "4.0 MiB",
        "Load file: width": "8",
        "Dataset: rows": "csv",
    }
