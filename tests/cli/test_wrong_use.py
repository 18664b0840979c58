"""Wrong use of the command line is one line on standard error, and exit code 2."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

import pytest
import typer

from prefect_collect.cli import run
from prefect_collect.cli._app import program
from prefect_collect.cli._options import local_path
from tests.cli.no_server import UNKNOWN_ID, made_job, small_bag

pytestmark = pytest.mark.usefixtures("no_server")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["colect"], "No such command 'colect'"),
        (["collect"], "Missing argument 'URL|PATH|SOURCE'"),
        (["collect", ".", "--frobnicate"], "No such option"),
        (["export", UNKNOWN_ID, "--to", "x", "--encrypt"], "`prefect-collect download JOB --to DIR --encrypt`"),
        (["collect", ".", "--export-to", "x", "--passphrase-from", "y"], "download JOB --to DIR --encrypt"),
        (["retry", UNKNOWN_ID, "--encrypt"], "No such option"),
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
        (
            ["collect", "ftp://host/x"],
            "rclone://, imap:// or webdav://, and before a folder, file or bucket may stand mbox:",
        ),
        (["export", UNKNOWN_ID, "--to", "x", "--format", "load-file"], "'ocfl'. Did you mean loadfile? See"),
        (["export", UNKNOWN_ID, "--to", "x", "--format", "tar"], "'ocfl'. See"),
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
        (["collect", "sqlite:///x", "--since", "last", "--export-to", "x", "--format", "dataset"], "without since"),
        (["draft", ".", "--since", "last", "--export-to", "x", "--format", "ocfl", "--deduplicate", "global"], "since"),
        (["collect", "/usr/share", "--export-to", "/usr", "--format", "ocfl"], "no OCFL 1.1 storage root"),
        (["edit", UNKNOWN_ID], f"[job={UNKNOWN_ID}]"),
        (["jobs", "--limit", "-1"], "greater than or equal to 0. See `prefect-collect jobs --help`."),
        (["collect", ".", "--include"], "requires an argument. See `prefect-collect collect --help`."),
        (["sources", "test", ".", "--include"], "See `prefect-collect sources test --help`."),
        (["show", "a", "b"], "Got unexpected extra argument(s) (b). See"),
        (["collect", "s3:/bucket/x"], "Did you mean s3://bucket/x?"),
        (["collect", "gs//bucket"], "Did you mean gs://bucket?"),
        (["collect", ".", "--store", "s3:/bucket"], "Did you mean s3://bucket? For a local folder of that name write"),
        (["draft", ".", "--export-to", "gs:/bucket"], "Did you mean gs://bucket?"),
        (["export", UNKNOWN_ID, "--to", "s3:/bucket/x"], "Did you mean s3://bucket/x?"),
        (["export", UNKNOWN_ID, "--to", "collect-s3-stor/nope"], "Did you mean collect-s3-store/nope?"),
        (["collect", "S3://bucket/x"], "write s3:// in small letters"),
        (["collect", "https://host/x"], "folders on a WebDAV server as webdavs://…"),
        (["collect", ".", "--modified-after", "31.1.2026"], "must be a day like 2026-01-31, or a time like"),
        (["collect", ".", "--format", "dataset"], "--format needs --export-to"),
        (["export", UNKNOWN_ID, "--to", "x", "--prefix", "A"], "--prefix is no option of the format bagit"),
        (
            ["export", UNKNOWN_ID, "--to", "x", "--format", "ocfl", "--volume-size", "1k"],
            "--volume-size is no option of",
        ),
        (["report", UNKNOWN_ID, "--to", "x.pdf"], "--pdf x.pdf writes the chain of custody document"),
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
        (["download", UNKNOWN_ID, "--to", "s3://bucket/x"], "must be a path on this machine, not a URL"),
        (["report", UNKNOWN_ID, "--pdf", "s3://bucket/x.pdf"], "must be a path on this machine, not a URL"),
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


def test_only_the_command_that_is_named_is_made() -> None:
    """Each command can be named alone, also after --debug; what names none gets all commands, to say what there is."""
    every = [command.callback for command in program([]).registered_commands]
    for command in every:
        name = getattr(command, "__name__", "")
        made = program(["--debug", name, "--help"])
        alone = name != "estimate"
        assert [each.callback for each in made.registered_commands] == ([command] if alone else every)
        assert bool(made.registered_groups) is not alone
    for other in ("--help", "sources", "nothing", "--nothing"):
        assert [command.callback for command in program([other]).registered_commands] == every


def test_no_local_path_takes_a_url() -> None:
    """Every option that is a file or folder of this machine refuses a URL, instead of making a folder ``s3:``."""
    paths = {}
    for command in program([]).registered_commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            if "pathlib" in str(hint):
                paths[name] = hint.__metadata__[0].parser
    assert {"to", "pdf", "html", "public_key", "token_file"} <= set(paths)
    assert set(paths.values()) == {local_path}
    for url in ("s3://bucket/x", "gs:/bucket/x", "file:///x", "s3:bucket"):
        with pytest.raises(typer.BadParameter, match="must be a path on this machine, not a URL"):
            local_path(url)
    assert local_path("./s3:/x") == Path("s3:/x")


def test_a_prefix_that_fits_two_jobs_names_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The beginning of an id is refused if it fits two jobs, and both are named."""
    ids = ["0194c1b0-0000-7000-8000-00000000000a", "0194c1b0-0000-7000-8000-00000000000b"]
    for name in ids:
        (tmp_path / name).mkdir()
        (tmp_path / name / "job.json").write_text("{}")
    assert run(["show", "0194c1", "--store", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in ids)


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
    made_job(tmp_path / "store")
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


def test_a_folder_that_is_no_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without any file of a package is wrong use, also with a list of items or a file named as the payload.

    A bag without its bagit.txt is not valid.
    """
    (tmp_path / "letters").mkdir()
    for number in range(200):
        (tmp_path / "letters" / str(number)).touch()
    assert run(["verify", str(tmp_path / "letters")]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "The folder is no package: it has neither bagit.txt, group.json, load-file.json, " in err
    for name in ("items.csv", "chain-of-custody.pdf", "data"):
        (tmp_path / "letters" / name).touch()
    assert run(["verify", str(tmp_path / "letters")]) == 2
    assert "The folder is no package: " in capsys.readouterr().err
    (tmp_path / "letters" / "group.json").touch()
    assert run(["verify", str(tmp_path / "letters")]) == 4
    capsys.readouterr()
    bag = small_bag(tmp_path / "bag")
    (bag / "bagit.txt").unlink()
    assert run(["verify", str(bag)]) == 4
    assert "Not valid, 1 problem:" in capsys.readouterr().out


def test_a_package_with_a_link_that_leads_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link beside a package's files that cannot be followed is a problem of the package, which can be read."""
    bag = small_bag(tmp_path / "bag")
    (bag / "loop").symlink_to("loop")
    assert run(["verify", str(bag)]) == 4
    assert "loop: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            ["collect"],
            "prefect-collect: There is no file or folder {}/leters/x. The nearest folder that exists is {}. ",
        ),
        (["verify"], "prefect-collect: There is no package; check the path. The nearest folder that exists is {}. "),
    ],
)
def test_a_mistyped_path(command: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message begins with what is not there, names what may be meant, and lists no kinds of sources."""
    (tmp_path / "letters").mkdir()
    assert run([*command, f"{tmp_path}/leters/x"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(says.replace("{}", str(tmp_path)) + f"Did you mean {tmp_path}/letters? ")
    assert err.count("-source") == 0


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
