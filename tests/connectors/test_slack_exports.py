"""Exports of Slack: a file for each day of a channel, with what it says; links are reported and not followed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.blocks import FileSource, SlackExportSource
from prefect_collect.connectors.foreign_exports.edrm_xml import BadList
from prefect_collect.connectors.foreign_exports.json_arrays import elements
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of, proven
from prefect_collect.sources.query import Query
from prefect_collect.statuses import JobStatus
from tests.examples import examples
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, held, new_job, unsuccessful
from tests.support.slack_export import LINK, day, slack_files, write_slack_export


def test_a_whole_export(tmp_path: Path) -> None:
    """All files are collected byte for byte; a day's file says who wrote when, and how much. Links and channels without
    messages are reported, and no link's secret is repeated.
    """
    write_slack_export(tmp_path)
    source = SlackExportSource(inside=str(tmp_path / "Slack export.zip"))
    job = new_job(MemoryStore(), source)
    result = attempt(job, source)
    check_account(job)
    assert (result.status, result.success_rate, result.counts.left) == (JobStatus.SUCCESSFULLY_COMPLETED, 100.0, 0)
    rows = {row["path"]: row for row in held(job).values()}
    assert {path: row["sha256"] for path, row in rows.items()} == {
        name: hashlib.sha256(data).digest() for name, data in slack_files().items()
    }
    assert json.loads(rows["general/2024-01-31.json"]["metadata"]) == {
        "channel": "general", "channel_id": "C1", "kind": "public channel", "members": ["U1", "U2"],
        "day": "2024-01-31", "messages": 3, "links": 2, "participants": ["Ann Ä (U1)", "bob (U2)"],
        "first": "2024-01-31T09:00:00+00:00",
        "last": "2024-01-31T11:00:00.500000+00:00",
    }  # fmt: skip
    kinds = {json.loads(row["metadata"])["kind"] for path, row in rows.items() if "/" in path}
    assert kinds == {"public channel", "private channel", "direct message", "group direct message"}
    reported = {row["path"]: (row["error_code"], row["message"]) for row in unsuccessful(job).values()}
    codes = {path: code for path, (code, _) in reported.items()}
    outcomes = {row["error_code"]: row["outcome"] for row in unsuccessful(job).values()}
    assert outcomes == {"linked_file": "not_attempted", "empty_channel": "skipped", "looked_into": "skipped"}
    days = [path for path in rows if "/" in path]
    assert codes == {
        **{f"{path}/plan.pdf": "linked_file" for path in days}, **{f"{path}/old.pdf": "linked_file" for path in days},
        "canvases.json/Plan": "linked_file", "silent/": "empty_channel", "Slack export.zip": "looked_into",
    }  # fmt: skip
    assert (
        "files.slack.com. [general/2024-01-31.json: plan.pdf (F1)]" in reported["general/2024-01-31.json/plan.pdf"][1]
    )
    assert "deleted" in reported["general/2024-01-31.json/old.pdf"][1]
    assert not any(secret in str(reported) for secret in ("xoxe", LINK, "CAPABILITY"))


def test_unpacked_and_chosen(tmp_path: Path) -> None:
    """An export that was unpacked is the same; a query takes channels and days by their paths, there and in the ZIP.

    What a day that is taken links to is accounted for, and so is the ZIP file.
    """
    for name, data in slack_files().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    source = SlackExportSource(inside=FileSource(root=tmp_path))
    items = [*items_of(source)]
    assert {item.path for item in items if not item.unread} == slack_files().keys()
    write_slack_export(tmp_path)
    packed = SlackExportSource(inside=str(tmp_path / "Slack export.zip"))
    path = "general/2024-01-31.json"
    day_and_links = [path, f"{path}/old.pdf", f"{path}/plan.pdf"]
    for glob in ("**/general/2024-01-*", "general/*"):
        query = Query(include=(glob,))
        assert sorted(item.path for item in items if query.matches(item)) == day_and_links
        assert sorted(found(packed, query)) == ["Slack export.zip", *day_and_links]
    assert f"{path}/old.pdf" not in found(packed, Query(include=("general/*",), exclude=("old.pdf",)))
    assert not [found for found in found(packed, Query(exclude=("**/*.json",))) if found.endswith(".pdf")]
    assert found(packed, Query(include=("**/plan.pdf",), max_size=1)) == ["Slack export.zip"]


def found(source: SlackExportSource, query: Query) -> list[str]:
    """Return the paths of the items that a query takes."""
    return [item.path for item in query.select(proven(source, query)) if isinstance(item, Item)]


@pytest.mark.parametrize(
    "wrong", [b"{}", b"[{", b"", b"[" * 100_000, b"\xff\xfe[", b'[{"files": [{"name": 7}], "ts": {}}]']
)
def test_days_that_cannot_be_read(tmp_path: Path, wrong: bytes) -> None:
    """A file that is not as Slack writes it is collected as it is, and what could not be read of it is reported."""
    (tmp_path / "general").mkdir()
    (tmp_path / "general/2024-01-01.json").write_bytes(wrong)
    (tmp_path / "channels.json").write_bytes(wrong)
    source = SlackExportSource(inside=str(tmp_path))
    job = new_job(MemoryStore(), source)
    attempt(job, source)
    check_account(job)
    assert {row["path"] for row in held(job).values()} == {"general/2024-01-01.json", "channels.json"}
    codes = [row["error_code"] for row in unsuccessful(job).values()]
    assert ("unreadable_list" in codes) == (not wrong.endswith(b"]"))


def test_more_links_than_are_listed(tmp_path: Path) -> None:
    """Links beyond the most that are listed of a day are one item, which says how many there are; none names a URL."""
    messages = day(1706695200.0)
    messages[0]["files"] = [{"url_private": "https://[wrong"}, *({"name": "n", "id": f"F{n}"} for n in range(10_001))]
    (tmp_path / "users.json").write_bytes(b"[]")
    (tmp_path / "general").mkdir()
    (tmp_path / "general/2024-01-31.json").write_text(json.dumps(messages))
    items = [item for item in items_of(SlackExportSource(inside=str(tmp_path))) if item.elsewhere]
    assert len(items) == 10_001
    assert items[-1].path == "general/2024-01-31.json/2 more"
    assert items[-1].elsewhere is not None
    assert "10,002 links" in items[-1].elsewhere.message


@settings(max_examples=examples(100))
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.none(), max_size=3)),
    st.integers(1, 20), st.sampled_from([None, 1, 4]),
)  # fmt: skip
def test_arrays(value: list[dict[str, object]], piece: int, indent: int | None) -> None:
    """An array is read element by element, wherever it is cut into pieces; one that is cut off is refused."""
    data = json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "replace")
    value = json.loads(data)

    def pieces(data: bytes) -> list[bytes]:
        return [data[at : at + piece] for at in range(0, len(data), piece)]

    assert list(elements(pieces(data))) == value
    with pytest.raises(BadList):
        list(elements(pieces(data[:-1])))


def test_odd_times(tmp_path: Path) -> None:
    """The first and the last time of a day are those of messages whose time is one; no other time loses a message."""
    odd = ["-1", "0", "nan", "inf", "1e400", "x", "", None, 1706695200, "1706695200.000100", "1706695201"]
    (tmp_path / "users.json").write_bytes(b"[]")
    (tmp_path / "general").mkdir()
    (tmp_path / "general/2024-01-31.json").write_text(json.dumps([{"ts": ts} for ts in odd]))
    source = SlackExportSource(inside=str(tmp_path))
    job = new_job(MemoryStore(), source)
    assert attempt(job, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    row = next(row for row in held(job).values() if row["path"].startswith("general"))
    said = json.loads(row["metadata"])
    assert said["messages"] == len(odd)
    assert (said["first"], said["last"]) == ("2024-01-31T10:00:00.000100+00:00", "2024-01-31T10:00:01+00:00")
