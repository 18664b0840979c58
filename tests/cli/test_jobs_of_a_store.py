"""The commands `jobs` and `show` read a staging store without a server."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prefect_collect.cli import run
from prefect_collect.cli._output import Output
from prefect_collect.cli._summary import print_job_summary
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import claim_attempt, create_job
from prefect_collect.jobs.stored_jobs import job_from_evidence
from prefect_collect.statuses import JobKind, TaskStatus
from prefect_collect.stores import DirectoryStore
from tests.cli.no_server import UNKNOWN_ID, made_job, read_settings_again
from tests.support.memory_source import MemorySource, Thing
from tests.support.process_fork import run_fork_in_terminal
from tests.support.run_attempts import attempt, export, new_job

pytestmark = pytest.mark.usefixtures("no_server")


def test_an_export_that_lacks_what_was_collected_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` of the collection and of the export says what the export lacks, and what to do."""
    source = MemorySource({"a": Thing("good", b"a"), "b": Thing("denied")})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(folder, source)
    exported, result = export(folder, DirectoryStore(tmp_path / "out"))
    source.things["b"] = Thing("good", b"b")
    attempt(folder, source)
    note = "made from attempt 1; attempt 2 collected 1 more item: export again"
    for job in (folder, exported):
        assert run(["show", job.job_id, "--store", folder.store.url]) == 0
        assert note in capsys.readouterr().out
        assert run(["show", job.job_id, "--store", folder.store.url, "--json"]) == 0
        made = json.loads(capsys.readouterr().out)["exports"]
        assert [(one["job_id"], one["package"], one["note"]) for one in made] == [
            (exported.job_id, result.package, note)
        ]


def test_when_a_job_was_created_and_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The store's time is that of the first start, and called so; `show` of a draft that was started has both times."""
    source = MemorySource({"a": Thing("good", b"a")})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(folder, source)
    started = f"  started  {folder.record().created_at} by "
    assert run(["show", folder.job_id, "--store", folder.store.url]) == 0
    shown = capsys.readouterr().out
    assert (started in shown, "  created  " in shown) == (True, False)
    assert run(["jobs", "--store", folder.store.url]) == 0
    assert re.search(r"started\s+\(UTC\)", capsys.readouterr().out)
    drafted = datetime(2026, 1, 31, 12, tzinfo=UTC)
    job = replace(job_from_evidence(folder), created=drafted)
    print_job_summary(Output(as_json=False), job, folder.store.url, whole=True)
    assert f"  created  {drafted.isoformat()}\n{started}" in capsys.readouterr().out


def test_a_list_that_is_cut_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`preview` and `jobs` say that there is more, and how to see it; a whole list says nothing."""
    store = DirectoryStore(tmp_path / "staging")
    source = MemorySource({name: Thing("good", b"a") for name in "abc"})
    folder, _ = new_job(store, source), new_job(store, source)
    attempt(folder, source)
    preview, jobs = ["preview", folder.job_id, "--store", store.url], ["jobs", "--store", store.url]
    for command, limit, says in ((preview, "2", "2 of 3 items"), (jobs, "1", "The newest 1 job")):
        assert run([*command, "--limit", limit]) == 0
        assert f"{says}; --limit shows more.\n" in capsys.readouterr().out
        assert run([*command, "--limit", "3"]) == 0
        assert "--limit" not in capsys.readouterr().out
    assert run([*preview, "--limit", "2", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["held"], len(shown["items"])) == (3, 2)


def test_the_custodians_of_a_job_stand_beneath_its_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` prints them in line with all that it prints of a job."""
    folder = new_job(DirectoryStore(tmp_path / "staging"), MemorySource({}), options={"custodian": "Jordan Lee"})
    assert run(["show", folder.job_id, "--store", folder.store.url]) == 0
    assert re.search(r"\n  source   .*\n           custodian Jordan Lee\n", capsys.readouterr().out)


def test_jobs_of_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`jobs --json` prints a list, also an empty one, and needs no server."""
    assert run(["jobs", "--json", "--store", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["jobs", "--json"]) == 0, "the default store is made by the first collection"
    assert json.loads(capsys.readouterr().out) == []


def test_a_job_that_cannot_be_read_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job with a damaged job.json does not hide the others; a line says that it cannot be read, and why."""
    fine, garbage = UNKNOWN_ID, UNKNOWN_ID.replace("0194", "0195")
    made_job(tmp_path, fine)
    (tmp_path / garbage).mkdir()
    (tmp_path / garbage / "job.json").write_text("{garbage")
    assert run(["jobs", "--store", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert all(job in out for job in (fine, garbage, "mine"))
    assert f"not all is known of {garbage}: " in err
    assert run(["jobs", "--store", str(tmp_path), "--json"]) == 0
    listed = {job["job_id"]: job for job in json.loads(capsys.readouterr().out)}
    assert (listed[fine]["kind"], listed[fine]["unreadable"]) == ("collection", None)
    assert (listed[garbage]["kind"], listed[garbage]["status"]) == (None, None)
    assert listed[garbage]["unreadable"]


def test_lists_fit_a_narrow_terminal(tmp_path: Path) -> None:
    """In a terminal of 80 columns `jobs` shows whole names and numbers, and as much of an id as `show` needs."""
    made_job(tmp_path, name="a long name " * 5)
    done = run_fork_in_terminal(lambda: sys.exit(run(["jobs", "--store", str(tmp_path)])), columns=80)
    assert done.code == 0, done.err
    shown = done.out.decode()
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r", "")
    table = shown.partition("(as the staging")[0]
    assert all(len(line) <= 80 for line in table.splitlines()), shown
    assert [
        each for each in ("job", "kind", "name", "status", "items", "succeeded", "failed") if each not in table
    ] == []
    assert table.count("name") >= 6
    assert UNKNOWN_ID[:8] in table
    assert run(["show", UNKNOWN_ID[:8], "--store", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("claim", "task_status"), [({"manifest": 1}, TaskStatus.PROCESSING), ({}, TaskStatus.IN_PROGRESS)]
)
def test_a_running_export_is_processing(
    claim: dict[str, int], task_status: TaskStatus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a server, an export's open attempt is PROCESSING, a collection's only when it has found items."""
    kind = JobKind.EXPORT if claim else JobKind.COLLECTION
    claim_attempt(made_job(tmp_path, kind=kind), claim)
    assert run(["show", UNKNOWN_ID, "--store", str(tmp_path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"], shown["task_status"]) == ("In progress", task_status.value)
    assert run(["report", UNKNOWN_ID, "--store", str(tmp_path)]) == 2
    assert "has no report. It is In progress" in capsys.readouterr().err


def test_a_whole_id_is_looked_up_without_a_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole id needs one request to the store; only the beginning of an id needs all folders' names."""
    made_job(tmp_path)
    monkeypatch.setattr(DirectoryStore, "folders", None)
    assert run(["show", UNKNOWN_ID, "--store", str(tmp_path)]) == 0


def test_the_default_store_is_a_setting_of_prefect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The store in prefect.toml is the default store of the command line too; the variable takes precedence."""
    (tmp_path / "prefect.toml").write_text("[integrations.collect]\nstore = 'from-settings'\n")
    monkeypatch.chdir(tmp_path)
    for variables, expected in (({}, "from-settings"), ({"PREFECT_INTEGRATIONS_COLLECT_STORE": "mine"}, "mine")):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        read_settings_again()
        assert run(["jobs"]) == 0
        assert f"No jobs in {tmp_path / expected}." in capsys.readouterr().err
    monkeypatch.undo()
    read_settings_again()


def test_jobs_by_kind_and_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`jobs` lists only jobs of a kind, or of one of several statuses, in any capitalisation."""
    ids = {kind: f"0194c1b0-0000-7000-8000-00000000000{number}" for number, kind in enumerate(JobKind)}
    for kind, job_id in ids.items():
        claim_attempt(made_job(tmp_path, job_id, kind))
    for options, expected in (
        (["--kind", "export"], {ids[JobKind.EXPORT]}),
        (["--status", "in progress", "--status", "Failed"], set(ids.values())),
        (["--status", "Failed"], set()),
    ):
        assert run(["jobs", "--json", "--store", str(tmp_path), *options]) == 0
        assert {job["job_id"] for job in json.loads(capsys.readouterr().out)} == expected


def test_what_a_collection_was_asked_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`show` has the settings of the source that are not their defaults, also if a retry brought them, what else
    retries have changed, and the hashes beside SHA-256.
    """
    folder = JobFolder(DirectoryStore(tmp_path), UNKNOWN_ID)
    source = {"name": "docs", "location": "/docs", "settings": '{"follow_symlinks": true}'}
    options = {"hashes": ["md5"]}
    create_job(folder, JobRecord(folder.job_id, JobKind.COLLECTION, "docs", source, "docs", options=options))
    attempt(folder, MemorySource({"a": Thing("good", b"a")}), hashes=("md5",))
    assert run(["show", folder.job_id, "--store", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "follow_symlinks = True" in shown
    assert re.search(r"hashes +md5", shown)
    assert run(["show", folder.job_id, "--store", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["source_settings"], found["hashes"]) == ({"follow_symlinks": True}, ["md5"])
    for settings in ({"allow_private": True, "concurrency": 4}, {"concurrency": 5}):
        custody_log.append(folder, "retry-requested", {"settings": settings})
    assert run(["show", folder.job_id, "--store", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert all(f" {one} = True\n" in shown for one in ("follow_symlinks", "allow_private")), shown
    assert "  retry    concurrency = 5\n" in shown
    assert run(["show", folder.job_id, "--store", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["source_settings"] == {"follow_symlinks": True, "allow_private": True}
    assert found["retry_settings"] == {"allow_private": True, "concurrency": 5}
