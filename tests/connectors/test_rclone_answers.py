"""What rclone answers, read: entries, hashes, times, names that a folder has twice, and messages."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.connectors.rclone.entries import entries_of, item_of, loop_of, stated_hash, twin_of
from prefect_collect.connectors.rclone.failures import left_out, rclone_error
from prefect_collect.connectors.rclone.not_compared import NotCompared, is_office_file, is_sharepoint
from prefect_collect.errors import SourceError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
    max_leaves=12,
)
FILE = {"Name": "a", "Size": 3, "ModTime": "2026-11-30T01:18:01.493288906+02:00", "IsDir": False}


def test_a_file() -> None:
    """Size, time in UTC to the microsecond, and the strongest hash of those that are stated."""
    hashes = {"md5": "0" * 32, "sha1": "A" * 40, "quickxor": "x"}
    [entry] = entries_of({"list": [FILE | {"Hashes": hashes, "ID": "7"}]}, "p")
    item = item_of(entry, "b/", has_times=True)
    assert (item.id, item.size, item.etag) == ("b/a", 3, f"sha1:{'a' * 40}")
    assert str(item.modified) == "2026-11-29 23:18:01.493288+00:00"
    assert (item_of(entry, "", has_times=False).modified, item.created) == (None, None)
    assert stated_hash(item.etag) == ("sha1", bytes.fromhex("a" * 40))


@pytest.mark.parametrize(
    ("metadata", "created"),
    [
        ({"btime": "2019-03-04T05:06:07.123456789+01:00", "owner": "ann"}, "2019-03-04 04:06:07.123456+00:00"),
        ({"btime": "2019-03-04T05:06:07Z"}, "2019-03-04 05:06:07+00:00"),
        ({"btime": "0000-00-00"}, "None"),
        ({"btime": 7}, "None"),
        ({}, "None"),
        ("btime", "None"),
    ],
)
def test_a_time_of_creation(metadata: Any, created: str) -> None:
    """The time of birth in the metadata of a file is its time of creation; what is no time is none."""
    [entry] = entries_of({"list": [FILE | {"Metadata": metadata}]}, "p")
    assert str(item_of(entry, "", has_times=True).created) == created


def test_what_a_service_does_not_state() -> None:
    """A size of -1 (a document of Google) and a time that is none are unknown, and so is a hash of a wrong length."""
    odd = FILE | {"Size": -1, "ModTime": "never", "Hashes": {"md5": "00"}}
    [entry] = entries_of({"list": [odd]}, "p")
    assert (entry.size, entry.modified, entry.hash) == (None, None, None)
    assert entries_of({"list": None}, "p") == []


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("1600-02-29T12:00:00Z", "1600-02-29T12:00:00+00:00"),
        ("1969-07-20T20:17:39.999999999Z", "1969-07-20T20:17:39.999999+00:00"),
        ("9999-12-31T23:59:59.5+14:00", "9999-12-31T09:59:59.500000+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"), ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-00:01", None), ("10000-01-01T00:00:00Z", None), ("2026-01-05T10:00:00", None), ("", None),
        (None, None), (5, None),
    ],
)  # fmt: skip
def test_odd_dates(stated: object, expected: str | None) -> None:
    """A time of any year and zone is read; one outside the years 1 to 9999 of UTC, and one without a zone, is none."""
    [entry] = entries_of({"list": [FILE | {"ModTime": stated}]}, "p")
    assert (None if entry.modified is None else entry.modified.isoformat()) == expected


def test_what_is_sharepoint() -> None:
    """A remote's type with its drive or vendor tells SharePoint from personal drives and other servers."""
    for drive, is_so in (("documentLibrary", True), ("business", True), ("personal", False), (None, False)):
        assert is_sharepoint({"type": "onedrive", "drive_type": drive}) is is_so
    for vendor, is_so in (("sharepoint", True), ("sharepoint-ntlm", True), ("nextcloud", False)):
        assert is_sharepoint({"type": "webdav", "vendor": vendor}) is is_so
    assert not is_sharepoint({"type": "drive", "drive_type": "documentLibrary"})
    assert not is_sharepoint({})


def test_office_files() -> None:
    """The ending counts, in any case, and not the rest of the name."""
    assert all(map(is_office_file, ("a.docx", "b/A.XLSX", "a.b.pptm", "old.doc")))
    assert not any(map(is_office_file, ("a.pdf", "docx", "a.docx.zip", "a.docx/b", "a.")))


@pytest.mark.parametrize(
    ("hashes", "has_times", "warnings"),
    [
        (["md5"], True, []),
        ([], True, ["states no SHA-256, SHA-1 or MD5", "only their size and time"]),
        ([], False, ["states no SHA-256, SHA-1 or MD5", "only their size with"]),
    ],
)
def test_what_is_said_of_hashes(hashes: list[str], has_times: bool, warnings: list[str]) -> None:
    """A service that keeps hashes gives no warning, one without gives one that says what is compared in its place."""
    counts = NotCompared("box", hashes, has_times)
    [entry] = entries_of({"list": [FILE | {"Hashes": dict.fromkeys(hashes, "0" * 32)}]}, "p")
    counts.count(entry, is_rewritten=False)
    assert len(counts.warnings()) == bool(warnings)
    assert all(part in counts.warnings()[0] for part in warnings)


def test_what_is_said_of_files() -> None:
    """Each thing that is not compared is one sentence, with the number of files; no file gives none."""
    counts = NotCompared("drive", ["sha256", "md5"], True)
    assert counts.warnings() == ()
    for stated in (FILE | {"Size": -1}, FILE, FILE | {"Name": "a.docx", "Hashes": {"md5": "0" * 32}}):
        [entry] = entries_of({"list": [stated]}, "p")
        counts.count(entry, is_rewritten=is_office_file(entry.name))
    office, unsized, unhashed = counts.warnings()
    assert "the size and hash of 1 file were not compared, but the time of their last change was" in office
    assert "states no size of 1 file, as Google does" in unsized
    assert "no SHA256 of 1 file" in unhashed


def test_twins() -> None:
    """The second file of a name is an item that failed, with an id of its own and what to do."""
    folder = entries_of({"list": [FILE | {"IsDir": True}]}, "p")[0]
    assert (twin_of(folder, "", 2, "p").id, loop_of(folder, "b/", "p").path) == ("a?twin=2/", "b/a/")
    [entry] = entries_of({"list": [FILE | {"ID": "id7"}]}, "p")
    twin = twin_of(entry, "b/", 2, "rclone://d")
    assert twin.id == "b/a?twin=2"
    assert twin.failure is not None
    assert twin.failure.message.endswith("rename one of them at the service (its id there is id7). [rclone://d/b/a]")


@given(JSON)
def test_any_answer(answer: Any) -> None:
    """An answer that is no list of files is refused as such; nothing else is raised."""
    entries = []
    with suppress(SourceError):
        entries = entries_of(answer, "p")
    assert all(entry.name for entry in entries)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("error in ListJSON: directory not found", "not_found"),
        ("googleapi: Error 403: User Rate Limit Exceeded, rateLimitExceeded", "throttled"),
        ("HTTP error 429 (429 Too Many Requests)", "throttled"),
        ("oauth2: cannot fetch token: 400 invalid_grant", "bad_credentials"),
        ("couldn't fetch token: unauthorized", "bad_credentials"),
        ("Access denied", "access_denied"),
        ("dial tcp 127.0.0.1:9: connect: connection refused", "connection_lost"),
        ("unexpected EOF", "connection_lost"),
        ("net/http: timeout awaiting response headers", "timeout"),
        ("something else", "source_error"),
        ('Get "http://h/docs/404/a.docx": dial tcp: connect: connection refused', "connection_lost"),
        ('failed to open "quota report.docx"', "source_error"),
    ],
)
def test_messages(message: str, code: str) -> None:
    """A service's message has the code of what it means, and is repeated."""
    error = rclone_error(message, "rclone://d/x", 500)
    assert (error.code, error.http_status) == (code, 500)
    if "http:" not in message:
        assert str(error) == f"rclone says: {message}. [rclone://d/x]"


def test_addresses_in_messages() -> None:
    """Of a URL the server alone is repeated: some services give a file to whoever knows its address."""
    error = rclone_error('Get "https://dl.boxcloud.com/d/1/b1!SECRET/download?x=y": EOF', "rclone://d/x")
    assert "SECRET" not in str(error)
    assert "https://dl.boxcloud.com/…" in str(error)


def test_what_rclone_leaves_out() -> None:
    """A message by which rclone says that it leaves something out is found among others, and none is made up."""
    serving = "2026/11/30 01:18:02 NOTICE: Serving remote control on http://127.0.0.1:5599/\n"
    log = f"{serving}2026/11/30 01:18:03 NOTICE: a/x: Skipping undecryptable file name: y\n"
    assert left_out(log) == "a/x: Skipping undecryptable file name: y"
    assert left_out(serving) is None
