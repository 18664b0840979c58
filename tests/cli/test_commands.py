"""The command line without a server: help, wrong use, exit codes, and imports."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.cli import run
from prefect_collect.cli._demo import as_started
from prefect_collect.job_folder.folder import JobFolder, JobRecord
from prefect_collect.job_folder.lifecycle import claim_attempt, create_job
from prefect_collect.statuses import JobKind, TaskStatus
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.process_fork import run_fork_in_terminal
from tests.support.run_attempts import attempt, export, new_job

PROGRAM = Path(sysconfig.get_path("scripts")) / "prefect-collect"
COMMANDS = (
    "cancel", "collect", "delete", "demo", "download", "draft", "edit", "export", "jobs", "preview", "report", "retry",
    "show", "sign", "start", "verify",
)  # fmt: skip
UNKNOWN_ID = "0194c1b0-0000-7000-8000-000000000000"


@pytest.fixture(autouse=True, scope="module")
def _no_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the commands from finding or starting a server, also if earlier tests of this process used one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect-home")))
        patch.setenv("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")
        _read_settings_again()
        yield
    _read_settings_again()


def _read_settings_again() -> None:
    """Have Prefect, if it is imported, read its settings from the present environment."""
    if "prefect.context" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def _bag(folder: Path) -> Path:
    """Make a small bag by hand after RFC 8493."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.txt").write_bytes(b"hello")
    (folder / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    (folder / "manifest-sha256.txt").write_text(f"{hashlib.sha256(b'hello').hexdigest()}  data/a.txt\n")
    return folder


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`prefect-collect --help` lists the commands and the exit codes, and ends with 0; so does no command at all."""
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f" {name} " not in shown] == []
    assert "3 partially completed" in shown
    assert run([]) == 0
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_and_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command has a help text and the option --json."""
    assert run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"prefect-collect {command}" in shown
    assert "--json" in shown


def test_help_imports_nothing_heavy() -> None:
    """Help is shown without loading Prefect, Arrow or pandas."""
    done = _python(
        "import sys; from prefect_collect.cli import run; code = run(['collect', '--help']);"
        "print([m for m in ('prefect', 'pyarrow', 'pandas', 'boto3', 'httpx') if m in sys.modules], code)"
    )
    assert done.stdout.splitlines()[-1] == "[] 0", done.stderr


def test_verify_works_without_prefect(tmp_path: Path) -> None:
    """`verify` runs without Prefect installed."""
    bag = _bag(tmp_path / "bag")
    done = _python(
        f"""if True:
        import sys
        sys.modules["prefect"] = None
        from prefect_collect.cli import run
        sys.exit(run(["verify", {str(bag)!r}]))
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "Valid: 1 item, 5 bytes."


def test_verify_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify --json` prints one object with `valid` and `problems`; a changed byte is named, with exit code 4."""
    bag = _bag(tmp_path / "bag")
    assert run(["verify", str(bag), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["valid"], found["problems"], found["items"], found["bytes"]) == (True, [], 1, 5)
    (bag / "data" / "a.txt").write_bytes(b"hellO")
    assert run(["verify", str(bag), "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    assert [problem["path"] for problem in found["problems"]] == ["data/a.txt"]
    assert run(["verify", str(bag)]) == 4
    assert "data/a.txt" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["colect"], "No such command 'colect'"),
        (["collect"], "Missing argument 'URL|PATH|SOURCE'"),
        (["collect", ".", "--frobnicate"], "No such option"),
        (["collect", ".", "--tries", "0"], "Invalid value for '--tries'"),
        (["collect", ".", "--min-size", "many"], "'many' is not a size"),
        (["collect", ".", "--custodian", "a\nb"], "custodian must be one line of at most 200 characters"),
        (["collect", ".", "--min-size", "2k", "--max-size", "1k"], "nothing can match"),
        (["collect", ".", "--modified-after", "yesterday"], "modified_after"),
        (["collect", ".", "--on-empty", "shrug"], "Invalid value for '--on-empty': 'shrug'"),
        (["collect", ".", "--store", ""], "The location is empty"),
        (["jobs", "--store", ""], "The location is empty"),
        (["collect", ".", "--store", "collect-directory-store/x"], "A saved block can only be a destination"),
        (["jobs", "--store", "collect-s3-store/x"], "./collect-s3-store/x"),
        (["export", UNKNOWN_ID, "--to", ""], "The location is empty"),
        (["collect", ".", "--store", "ftp://host/x"], "s3://bucket/prefix"),
        (["collect", "ftp://host/x"], "ftp"),
        (["collect", "s3://bucket/x", "--follow-symlinks"], "follow_symlinks goes with a folder only"),
        (["collect", "gs://bucket/x", "--region", "eu-1"], "region goes with s3:// only"),
        (["collect", ".", "--anonymous"], "anonymous goes with s3://, gs:// and az:// only"),
        (["collect", ".", "--region", "eu-1"], "region goes with s3:// only"),
        (["collect", ".", "--endpoint-url", "http://127.0.0.1:1"], "endpoint_url goes with"),
        (["collect", "file-source/docs", "--follow-symlinks"], "a saved block has its own"),
        (["collect", "docs", "--anonymous"], "a saved block has its own"),
        (["collect", ".", "--store", "staging", "--single-writer"], "--single-writer is for s3://"),
        (["collect", ".", "--export-when", "successful"], "--export-when needs --export-to"),
        (["collect", ".", "--sha512"], "--sha512 needs --export-to"),
        (["collect", ".", "--export-to", ""], "The location is empty"),
        (["collect", ".", "--export-to", "/proc/1/x"], "/proc/1/x"),
        (["collect", ".", "--export-to", "x", "--export-when", "soon"], "Invalid value for '--export-when': 'soon'"),
        (["collect", ".", "--runner-address", "tcp://x:1"], "--runner-address needs --runner dask or ray"),
        (
            ["collect", ".", "--runner", "processes", "--runner-address", "x:1"],
            "processes runs on the job's machine",
        ),
        (["collect", ".", "--runner", "mpi"], "Invalid value for '--runner': 'mpi'"),
        (["collect", ".", "--workers", "0"], "Invalid value for '--workers'"),
        (["draft", ".", "--min-size", "2k", "--max-size", "1k"], "nothing can match"),
        (["draft", "/no/such/folder"], "/no/such/folder"),
        (["edit", UNKNOWN_ID], f"[job={UNKNOWN_ID}]"),
        (["edit", UNKNOWN_ID, "--export-to", "x", "--no-export"], "--no-export drops the export"),
        (["edit", UNKNOWN_ID, "--anonymous"], "--anonymous needs --source"),
        (["edit", UNKNOWN_ID, "--min-size", "2k", "--max-size", "1k"], "nothing can match"),
        (["cancel", UNKNOWN_ID], f"[job={UNKNOWN_ID}]"),
        (["delete", UNKNOWN_ID], "--yes"),
        (["delete", UNKNOWN_ID, "--yes"], f"[job={UNKNOWN_ID}]"),
        (["serve", "--notify", "slack-webhook/ops"], "--notify needs --automations"),
        (["serve", "--limit", "0"], "Invalid value for '--limit'"),
        (["collect", ".", "--since", "yesterday"], "Invalid value for '--since': 'yesterday'"),
        (["jobs", "--status", "Nearly done"], "'partially completed'"),
        (["jobs", "--kind", "import"], "Invalid value for '--kind'"),
        (["collect", "/no/such/folder"], "/no/such/folder"),
        (["export", UNKNOWN_ID], "Missing option '--to'"),
        (["export", UNKNOWN_ID, "--to", "x", "--format", "tar"], "Invalid value for '--format'"),
        (["export", UNKNOWN_ID, "--to", "x"], f"[job={UNKNOWN_ID}]"),
        (["retry", UNKNOWN_ID], f"[job={UNKNOWN_ID}]"),
        (["start", UNKNOWN_ID], f"[job={UNKNOWN_ID}]"),
        (["show", UNKNOWN_ID], f"[job={UNKNOWN_ID}]"),
        (["show", "abc"], "at least its first 6 characters"),
        (["show", "not an id"], "A job's id looks like"),
        (["preview", UNKNOWN_ID], f"[job={UNKNOWN_ID}]"),
        (["report", UNKNOWN_ID], f"[job={UNKNOWN_ID}]"),
        (["download", UNKNOWN_ID, "--to", "x"], f"[job={UNKNOWN_ID}]"),
        (["verify", "/no/such/package.zip"], "There is no package"),
        (["demo", "/proc/1"], "/proc/1"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    arguments: list[str], says: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong use ends with 2 and one line on standard error that says what is wrong; nothing is on standard output."""
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert err.startswith("prefect-collect: ")
    assert says in err


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


def test_a_prefix_that_fits_two_jobs_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The beginning of an id is refused if it fits two jobs, and both are named."""
    ids = ["0194c1b0-0000-7000-8000-00000000000a", "0194c1b0-0000-7000-8000-00000000000b"]
    for name in ids:
        (tmp_path / name).mkdir()
        (tmp_path / name / "job.json").write_text("{}")
    assert run(["show", "0194c1", "--store", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in ids)


def test_jobs_of_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`jobs --json` prints a list, also an empty one, and needs no server."""
    assert run(["jobs", "--json", "--store", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["jobs", "--json"]) == 0, "the default store is made by the first collection"
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("command", ["jobs", "show", "preview", "report", "download"])
def test_a_store_that_is_not_there(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Naming a staging store that does not exist, or is a file, is wrong use, not an empty answer."""
    (tmp_path / "file").touch()
    rest = [] if command == "jobs" else [UNKNOWN_ID]
    rest += ["--to", str(tmp_path)] if command == "download" else []
    for name, said in (("none", "There is no such folder"), ("file", "is a file, not a folder")):
        assert run([command, *rest, "--store", str(tmp_path / name)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert said in err
        assert str(tmp_path / name) in err


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/x"])
def test_places_that_can_be_no_folder(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store or destination that is a file, or cannot be created, is refused before there is a job, and unchanged."""
    (tmp_path / "file").write_text("precious")
    (tmp_path / "source").mkdir()
    create_job(
        JobFolder(DirectoryStore(tmp_path / "store"), UNKNOWN_ID),
        JobRecord(UNKNOWN_ID, JobKind.COLLECTION, "mine", {"name": "s", "location": "/s"}, "mine"),
    )
    where = str(tmp_path / place)
    for arguments in (
        ["collect", str(tmp_path / "source"), "--store", where],
        ["export", UNKNOWN_ID, "--store", str(tmp_path / "store"), "--to", where],
    ):
        assert run(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "file, not a folder" in err or "cannot be created" in err
        assert "remove" not in err
    assert (tmp_path / "file").read_text() == "precious"


def test_a_job_that_cannot_be_read_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job with a damaged job.json does not hide the others; a line says that it cannot be read, and why."""
    fine, garbage = UNKNOWN_ID, UNKNOWN_ID.replace("0194", "0195")
    folder = JobFolder(DirectoryStore(tmp_path), fine)
    create_job(folder, JobRecord(fine, JobKind.COLLECTION, "mine", {"name": "s", "location": "/s"}, "mine"))
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
    create_job(
        JobFolder(DirectoryStore(tmp_path), UNKNOWN_ID),
        JobRecord(UNKNOWN_ID, JobKind.COLLECTION, "a long name " * 5, {"name": "s", "location": "/s"}, "mine"),
    )
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


def test_the_command_is_named_as_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that the demonstration prints works in the user's shell: by name only if the shell finds it."""
    monkeypatch.setattr(sys, "argv", [str(PROGRAM), "demo"])
    monkeypatch.setenv("PATH", "/nonexistent")
    assert as_started() == str(PROGRAM)
    monkeypatch.setenv("PATH", str(PROGRAM.parent))
    assert as_started() == "prefect-collect"
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(sys, "argv", ["/x/__main__.py", "demo"])
    assert as_started() == f"{sys.executable} -m prefect_collect"


def test_a_folder_that_is_no_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without any file of a package is wrong use; a bag without its bagit.txt is not valid."""
    (tmp_path / "letters").mkdir()
    for number in range(200):
        (tmp_path / "letters" / str(number)).touch()
    assert run(["verify", str(tmp_path / "letters")]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "The folder is no package: it has neither bagit.txt, group.json, load-file.json, " in err
    (tmp_path / "letters" / "group.json").touch()
    assert run(["verify", str(tmp_path / "letters")]) == 4
    capsys.readouterr()
    bag = _bag(tmp_path / "bag")
    (bag / "bagit.txt").unlink()
    assert run(["verify", str(bag)]) == 4
    assert "Not valid, 1 problem:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        ("hello\nworld\n", "cannot be read as an error report"),
        ("item_id,path,outcome\n", "no rows"),
    ],
)
def test_a_report_to_retry_that_is_none(
    content: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A report that is missing, empty, or no report is refused in one line before a server is started."""
    report = tmp_path / "report.csv"
    if content is not None:
        report.write_text(content)
    assert run(["retry", UNKNOWN_ID, "--report", str(report)]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert str(report) in err


def test_a_report_is_written_as_what_it_is_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`report --to` accepts names in .csv and .parquet, and no existing file."""
    (tmp_path / "old.csv").write_text("precious")
    for name, said in (("x.xls", ".csv or .parquet"), ("old.csv", "not overwritten"), ("no/x.csv", "does not exist")):
        assert run(["report", UNKNOWN_ID, "--to", str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err
    assert (tmp_path / "old.csv").read_text() == "precious"


@pytest.mark.parametrize(
    ("claim", "task_status"), [({"manifest": 1}, TaskStatus.PROCESSING), ({}, TaskStatus.IN_PROGRESS)]
)
def test_a_running_export_is_processing(
    claim: dict[str, int], task_status: TaskStatus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a server, an export's open attempt is PROCESSING, a collection's only when it has found items."""
    kind = JobKind.EXPORT if claim else JobKind.COLLECTION
    folder = JobFolder(DirectoryStore(tmp_path), UNKNOWN_ID)
    create_job(folder, JobRecord(UNKNOWN_ID, kind, "mine", {"name": "s", "location": "/s"}, "mine"))
    claim_attempt(folder, claim)
    assert run(["show", UNKNOWN_ID, "--store", str(tmp_path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"], shown["task_status"]) == ("In progress", task_status.value)
    assert run(["report", UNKNOWN_ID, "--store", str(tmp_path)]) == 2
    assert "has no report. It is In progress" in capsys.readouterr().err


def test_a_whole_id_is_looked_up_without_a_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole id needs one request to the store; only the beginning of an id needs all folders' names."""
    create_job(
        JobFolder(DirectoryStore(tmp_path), UNKNOWN_ID),
        JobRecord(UNKNOWN_ID, JobKind.COLLECTION, "mine", {"name": "s", "location": "/s"}, "mine"),
    )
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
        _read_settings_again()
        assert run(["jobs"]) == 0
        assert f"No jobs in {tmp_path / expected}." in capsys.readouterr().err
    monkeypatch.undo()
    _read_settings_again()


def test_jobs_by_kind_and_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`jobs` lists only jobs of a kind, or of one of several statuses, in any capitalisation."""
    ids = {kind: f"0194c1b0-0000-7000-8000-00000000000{number}" for number, kind in enumerate(JobKind)}
    for kind, job_id in ids.items():
        folder = JobFolder(DirectoryStore(tmp_path), job_id)
        create_job(folder, JobRecord(job_id, kind, "mine", {"name": "s", "location": "/s"}, "mine"))
        claim_attempt(folder)
    for options, expected in (
        (["--kind", "export"], {ids[JobKind.EXPORT]}),
        (["--status", "in progress", "--status", "Failed"], set(ids.values())),
        (["--status", "Failed"], set()),
    ):
        assert run(["jobs", "--json", "--store", str(tmp_path), *options]) == 0
        assert {job["job_id"] for job in json.loads(capsys.readouterr().out)} == expected


def test_an_unexpected_error_is_one_line_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error ends with 4 and one line that names --debug, which prints the traceback before it."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("prefect_collect.cli._show.show_jobs", broken)
    assert run(["jobs"]) == 4
    err = capsys.readouterr().err
    assert err == (
        "prefect-collect: Unexpected ZeroDivisionError: division by zero (`prefect-collect --debug …` shows where)\n"
    )
    assert run(["--debug", "jobs"]) == 4
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last)")
    assert err.splitlines()[-1].startswith("prefect-collect: Unexpected ZeroDivisionError")


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    """`prefect-collect … | head` ends without an error."""
    bag = _bag(tmp_path / "bag")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([PROGRAM, "verify", bag, "--json"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_bar_is_shown_where_a_terminal_is(tmp_path: Path) -> None:
    """A progress bar goes to standard error if that is a terminal, and never to standard output."""
    bag = _bag(tmp_path / "bag")
    done = run_fork_in_terminal(lambda: run(["verify", str(bag), "--json"]), columns=80, bars=True)
    assert b"Verifying" in done.err
    assert json.loads(done.out)["valid"] is True


def test_the_module_and_the_entry_point_are_one(tmp_path: Path) -> None:
    """`python -m prefect_collect` does what `prefect-collect` does."""
    for command in ([str(PROGRAM)], [sys.executable, "-m", "prefect_collect"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("prefect-collect 0.")
