"""`prefect-collect verify JOB`: offline, from the staging store alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prefect_collect.cli import run
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.removal import remove_job
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, new_job

ID = "0194c1b0-7d3f-7000-8000-00000000000a"
NEIGHBOUR = "0194c1b0-7d3f-7000-8000-00000000000b"


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    """A job of three items in a staging store."""
    source = MemorySource({f"mail/{n}.eml": Thing("good", b"Subject: hello" * n) for n in range(1, 4)})
    attempt(folder := new_job(DirectoryStore(tmp_path / "staging"), source, ID), source)
    return folder


@pytest.fixture
def staging(job: JobFolder) -> list[str]:
    """The option that names the job's store."""
    return ["--store", job.store.url]


def test_a_valid_job(job: JobFolder, staging: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A job is verified by its id, the beginning of it in either case, or its folder; its counts are printed."""
    for name in (ID, ID.replace("-", ""), ID[:8], ID[:8].upper()):
        assert run(["verify", name, *staging]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith("Valid: custody log with 3 entries, 10 files, 3 items, 84 bytes.\n")
        assert "\nfingerprint " in shown
    assert run(["verify", job.store.locate(ID)]) == 0
    assert run(["verify", ID, *staging, "--json"]) == 0
    capsys.readouterr()
    assert run(["verify", ID, *staging, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["valid"], found["problems"], found["warnings"], found["items"]) == (True, [], [], 3)
    assert found["job_id"] == ID


@pytest.mark.parametrize(
    "name",
    [
        "ledger/0001/part-00000.parquet", "segments/0001/00000.zip", "manifest/0001.parquet", "job.json",
        "inventory/0001/inventory.json", "reports/0001/result.json", "reports/0001/errors.csv", "attempts/0001.json",
        "custody/000001.json",
    ],
)  # fmt: skip
def test_a_changed_file(name: str, staging: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed file is named, in the text and in JSON, and the exit code is 4."""
    file = tmp_path / "staging" / ID / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    assert run(["verify", ID, *staging]) == 4
    shown = capsys.readouterr().out
    assert "Not valid, " in shown
    assert f"problem: {name}: " in shown
    assert "\nfingerprint " not in shown
    assert run(["verify", ID, *staging, "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    assert name in [problem["path"] for problem in found["problems"]]


def test_a_deleted_job(job: JobFolder, staging: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Of a deleted job the last custody entry is verified, and the output says who deleted it."""
    remove_job(job, who="ann@host")
    assert run(["verify", ID, *staging]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("warning: ")
    assert "the job was deleted by ann@host at " in shown
    assert "Valid: custody log with 1 entry.\n" in shown


def test_jobs_that_are_not_there(
    staging: list[str], job: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown id, one that fits two jobs, and a missing store are wrong use: exit code 2, and one line."""
    source = MemorySource({})
    attempt(new_job(job.store, source, NEIGHBOUR), source)
    for arguments, says in (
        (["abcdef12", *staging], "There is no such job"),
        ([ID[:8], *staging], f"2 jobs have an id that begins like this; give more of it: {ID}, {NEIGHBOUR}"),
        ([ID, "--store", str(tmp_path / "nothing")], "There is no such folder"),
        (["abc", *staging], "There is no package"),
    ):
        assert run(["verify", *arguments]) == 2
        shown = capsys.readouterr()
        assert says in shown.err
        assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_a_file_with_the_name_of_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path that exists is taken for a package, even if it looks like an id."""
    (tmp_path / "abcdef").write_bytes(b"no package")
    monkeypatch.chdir(tmp_path)
    assert run(["verify", "abcdef"]) == 2
    assert "The file is no package: " in capsys.readouterr().err
