"""`sources` and `sources test`, without a Prefect server."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from prefect_collect.cli import run
from prefect_collect.threads.retry_policy import RetryPolicy


@pytest.fixture(autouse=True)
def _no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.context import refresh_global_settings_context

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    refresh_global_settings_context()


def test_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a server the kinds are listed, and it says why no saved source is."""
    assert run(["sources"]) == 0
    out = capsys.readouterr().out
    assert "so saved sources are not listed" in out
    assert "sftp://user@host/path" in out
    assert run(["sources", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["saved"] == []
    assert {"FileSource", "ObjectStoreSource", "SftpSource", "ImapSource"} <= {one["name"] for one in listed["kinds"]}


def test_a_kind_that_lacks_a_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed with what to install."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(["sources"]) == 0
    assert "SftpSource on this machine: ssh is not installed" in capsys.readouterr().out.replace("`", "")


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        (
            ["psycopg", "pymysql"],
            "SQLite can be read, and PostgreSQL, MariaDB and MySQL cannot, without psycopg and pymysql; install them",
        ),
        (["pymysql"], "SQLite and PostgreSQL can be read, and MariaDB and MySQL cannot, without pymysql; install it"),
    ],
)
def test_a_kind_of_which_a_part_can_be_used(
    missing: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of databases it says which can be read, and which cannot without their drivers."""
    for driver in missing:
        monkeypatch.setitem(sys.modules, driver, None)  # how Python hides a module
    assert run(["sources"]) == 0
    assert f"SqlSource on this machine: {says} with `pip install 'prefect-collect[sql]'`." in capsys.readouterr().out


@pytest.mark.parametrize("command", [["sources", "test"], ["estimate"], ["collect"]])
@pytest.mark.parametrize("text", ["a\0b", "caf\udce9"], ids=["nul", "bytes"])
def test_a_name_that_no_source_can_have(command: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Text that Prefect cannot store is refused as such, and not looked for as a file or a saved source."""
    for named in (text, f"file-source/{text}", f"mbox:file-source/{text}"):
        assert run([*command, named]) == 2
        out, err = capsys.readouterr()
        assert (out, "which Prefect cannot store" in err, err.endswith("[field=source]\n")) == ("", True, True), err


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first items are shown; what the query takes is counted, and what is only reported is told apart."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(25):
        (folder / f"{number:02}.txt").write_bytes(b"12345")
    os.mkfifo(folder / "00-pipe")
    assert run(["sources", "test", str(folder), "--exclude", "2*.txt"]) == 0
    out = capsys.readouterr().out
    assert "special_file" in out
    assert "18.txt" in out
    assert "24.txt" not in out
    assert "A collection takes 20 items, 100 bytes; 1 is skipped." in out
    assert re.search(r"00-pipe .*skipped +special_file", out)
    assert re.search(r"skipped +special_file +1 +Nothing to do", out)
    assert run(["sources", "test", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["items"], found["bytes"], found["skipped"], found["failed"], found["is_whole"]) == (
        25, 125, 1, 0, True,
    )  # fmt: skip
    assert found["outcomes"] == {"skipped": {"special_file": 1}}
    assert (found["first"][0]["outcome"], found["first"][0]["code"]) == ("skipped", "special_file")
    assert len(found["first"]) == 20


def test_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 4; the code, the message and what to do are shown."""
    monkeypatch.setattr("prefect_collect.connectors.buckets.listing._RETRY", RetryPolicy(wait_initial=0.001))
    command = ["sources", "test", "s3://bucket/x", "--endpoint-url", "http://127.0.0.1:9", "--anonymous"]
    assert run(command) == 4
    out = capsys.readouterr().out
    assert "The listing failed with connection_lost" in out
    assert "What to do: " in out
    assert run([*command, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["failure"]["code"] == "connection_lost"


def test_an_export_that_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ZIP file that was not downloaded to its end is no empty export: the listing fails, with exit code 4."""
    (tmp_path / "cut.zip").write_bytes(b"PK\3\4 cut")
    assert run(["sources", "test", f"slack:{tmp_path / 'cut.zip'}"]) == 4
    assert "The listing failed with unreadable_entry" in capsys.readouterr().out


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    """A location that is no source, and an option that it does not take, are refused."""
    assert run(["sources", "test", "ftp://host/x"]) == 2
    assert "No installed source has URLs of that kind" in capsys.readouterr().err
    assert run(["sources", "test", "sftp://host/x", "--region", "eu"]) == 2
    assert "region goes with s3:// only" in capsys.readouterr().err
    assert run(["sources", "tset"]) == 2
