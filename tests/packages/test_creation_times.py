"""Times of creation in load files, their exact list of items, and what `verify` compares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prefect_collect.formats.load_file import LoadFile
from prefect_collect.packages import PACKAGE_FORMATS, PackagePlace, verify
from prefect_collect.stores import DirectoryStore
from tests.packages.load_file_packages import both, build, contents, rows
from tests.packages.test_load_file_facts import forged, problems

PROFILE = """BEGDOC = control_number\nCREATED = created\nUTC = created_utc\nDAY = created_date\nCLOCK = created_time
MODIFIED = modified\nMODUTC = modified_utc\nNATIVE = native_path"""

STATED: list[tuple[dict[str, Any] | None, list[str]]] = [
    ({"created": "2019-03-04T05:06:07.890123+00:00"},
     ["2019-03-04T05:06:07.890123+00:00", "2019-03-04 05:06:07", "20190304", "05:06:07"]),
    ({"created": "2019-12-31T23:30:00-02:00"},
     ["2019-12-31T23:30:00-02:00", "2020-01-01 01:30:00", "20200101", "01:30:00"]),
    ({"export.Doc_date_created": "2001-01-01T00:00:00Z", "export.O365_date_created": "2018-07-06T05:04:03Z"},
     ["2018-07-06T05:04:03+00:00", "2018-07-06 05:04:03", "20180706", "05:04:03"]),
    ({"export.DateCreated": "2017-02-03T04:05:06-0800"},
     ["2017-02-03T04:05:06-08:00", "2017-02-03 12:05:06", "20170203", "12:05:06"]),
    ({"created": "soon"}, [""] * 4),
    ({"created": "9999-12-31T23:59:59Z"}, [""] * 4),
    ({"created": 7, "export.DateCreated": "1/2/2024 3:04 PM"}, [""] * 4),
    ({"created": "2019-03-04T05:06:07"}, [""] * 4),
    (None, [""] * 4),
]  # fmt: skip
"""What is stated of items, and the facts `created`, `created_utc`, `created_date` and `created_time` of it."""


def stage(staging: Any, stated: Sequence[dict[str, Any] | None]) -> None:
    """Stage items of which this is stated."""
    staging.stage({f"{number}.bin": b"%d" % number for number in range(len(stated))})
    for row, said in zip(staging.rows, stated, strict=True):
        row["metadata"] = None if said is None else json.dumps(said)


@both
def test_times_of_creation(staging: Any, exports: DirectoryStore, format: str) -> None:
    """The zone that is stated stays, UTC is beside it, and a text that is no exact time is no time; so says the exact
    list of items, too, and `verify` finds that both agree.
    """
    stage(staging, [said for said, _ in STATED])
    built = build(staging, exports, format, profile=PROFILE)
    files = contents(exports, format)
    found = [[*row.values()][1:5] for row in rows(files["VOL001/VOL001.dat"])]
    assert found == [facts for _, facts in STATED]
    listed = pq.read_table(pa.BufferReader(files["items.parquet"]))
    assert listed["created"].to_pylist() == [facts[0] or None for _, facts in STATED]
    assert verify(exports.locate(built.key)).problems == []


@both
def test_lists_without_one_stay_as_they_are(staging: Any, exports: DirectoryStore, format: str) -> None:
    """Where no item has a time of creation, the exact list of items has no column for it, as in earlier versions."""
    stage(staging, [said for said, facts in STATED if not facts[0]] + [{"subject": "it was created"}])
    build(staging, exports, format, profile=PROFILE)
    assert "created" not in pq.read_table(pa.BufferReader(contents(exports, format)["items.parquet"])).schema.names


def test_forged_times_are_problems(staging: Any, exports: DirectoryStore) -> None:
    """Each column of a time of creation is compared with the exact list of items."""
    stage(staging, [said for said, _ in STATED])
    spec = staging.spec(load_file=LoadFile(tables="both", profile=PROFILE))
    PACKAGE_FORMATS["loadfile-directory"].build(staging.input(staging.check(), spec), PackagePlace(exports, "out"))
    good = contents(exports, "loadfile-directory")
    assert problems(good, exports) == ""
    for row, kind, column in ((0, "dat", "CREATED"), (1, "csv", "UTC"), (2, "dat", "DAY"), (8, "csv", "CLOCK")):
        found = problems(forged(good, kind, column, row, "2000"), exports)
        assert f"row {row + 1} of the {kind.upper()} has another '{column}' than items.parquet states" in found


@pytest.mark.parametrize(
    ("profile", "columns"),
    [
        ("relativity", {"Date Created": 0, "Date Created UTC": 1}),
        ("everlaw", {"Date Created": 1}),
        ("concordance", {"DATECREATED": 2, "TIMECREATED": 3, "CREATEDUTC": 1}),
        ("disco", {"Create date": 2, "Create time": 3}),
    ],
)
def test_columns_of_presets(staging: Any, exports: DirectoryStore, profile: str, columns: dict[str, int]) -> None:
    """Each preset has the columns of a time of creation that its system knows, in the form of its other dates."""
    stage(staging, [said for said, _ in STATED[:2]])
    build(staging, exports, profile=profile)
    found = rows(contents(exports, "loadfile")["VOL001/VOL001.dat"])
    assert [{name: row[name] for name in columns} for row in found] == [
        {name: facts[at] for name, at in columns.items()} for _, facts in STATED[:2]
    ]


def test_modified_times_of_a_list(staging: Any, exports: DirectoryStore) -> None:
    """Where the source states no time of change, as of an entry of a ZIP file, that of the export's list is taken."""
    stage(staging, [{"export.O365_date_modified": "2018-07-06T05:04:03Z"}] * 2 + [{"export.DateModified": "soon"}])
    for row in staging.rows[1:]:
        row["source_modified"] = None
    build(staging, exports, profile=PROFILE)
    found = [(row["MODIFIED"], row["MODUTC"]) for row in rows(contents(exports, "loadfile")["VOL001/VOL001.dat"])]
    assert found == [
        ("2024-05-06T07:08:10.123456+00:00", "2024-05-06 07:08:10"),
        ("2018-07-06T05:04:03+00:00", "2018-07-06 05:04:03"),
        ("", ""),
    ]
