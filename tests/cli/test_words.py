"""Small parts of the command line: sizes, exit codes, error messages."""

from __future__ import annotations

import pytest
import typer

from prefect_collect import errors
from prefect_collect.blocks import CloudStoreBlock, DirectoryStoreBlock, S3StoreBlock
from prefect_collect.cli._exits import error_exit_code, exit_code
from prefect_collect.cli._options import size
from prefect_collect.cli._output import Output
from prefect_collect.cli._run_command import explain
from prefect_collect.cli._words import tidy
from prefect_collect.pages.text import be, bytes_text, counted, duration_text, job_text, job_title
from prefect_collect.statuses import JobStatus
from prefect_collect.stores.addresses import STORE_BLOCKS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("4096", 4096),
        ("10k", 10240),
        ("1.5M", 1572864),
        ("2GiB", 2147483648),
        ("1 tb", 1 << 40),
        ("7 bytes", 7),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    """A size is a number of bytes, or of a power of 1024 by its letter."""
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "k", "10x", "1e3"])
def test_what_is_no_size(text: str) -> None:
    """Any other text is refused as a size."""
    with pytest.raises(typer.BadParameter, match="is not a size"):
        size(text)


def test_exit_codes_of_statuses() -> None:
    """Each status has its documented exit code; a job that has not ended, or has no status, counts as failed."""
    expected = {"Successfully completed": 0, "Partially completed": 3, "Failed": 4, "Canceled": 5}
    assert {status.value: exit_code(status) for status in JobStatus if status.is_terminal} == expected
    assert {exit_code(status) for status in [None, *JobStatus] if status is None or not status.is_terminal} == {4}


def test_exit_codes_of_errors() -> None:
    """An error ends with 2 if another command line would have worked, 5 for a canceled job, else 4."""
    assert error_exit_code(errors.JobNotFound("")) == 2
    assert error_exit_code(errors.ActionNotAllowed("")) == 2
    assert error_exit_code(errors.PackageExists("")) == 2
    assert error_exit_code(errors.StoreUnsafe("")) == 4
    assert error_exit_code(errors.JobCanceled("")) == 5


def test_errors_as_lines() -> None:
    """The message of an operating system's error names its file; an interrupt counts as canceled."""
    said, code = explain(PermissionError(13, "Permission denied", "/x"))
    assert (said.startswith("Access is not allowed; "), said.endswith(" [/x]"), code) == (True, True, 4)
    assert explain(OSError(30, "Read-only file system", "/x"))[0].startswith("The file system is read-only; ")
    assert explain(KeyboardInterrupt()) == ("Canceled.", 5)


def test_plurals() -> None:
    """A count of one has the singular."""
    assert [counted(n, "problem") for n in (0, 1, 2)] == ["0 problems", "1 problem", "2 problems"]
    assert [f"{n} {be(n)}" for n in (0, 1, 2)] == ["0 are", "1 is", "2 are"]
    assert [bytes_text(n) for n in (0, 1, 2, 1024)] == ["0 bytes", "1 byte", "2 bytes", "1.0 KiB"]


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("collection", "docs", "collection docs"),
        ("export", "docs", "export docs"),
        ("export", "export of docs", "export of docs"),
        ("export", "exports", "export exports"),
        ("collection", "export of docs", "collection export of docs"),
    ],
)
def test_a_job_s_kind_and_name(kind: str, name: str, said: str) -> None:
    """The kind is said once, also if the name begins with it, as that of an export does without a name of its own."""
    assert job_text(kind, name) == said
    assert job_title(kind, name) == f"{said[0].upper()}{said[1:]}"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (1.54, "1.5 seconds"),
        (59.96, "1 minute"),
        (200, "3 minutes and 20 seconds"),
        (7_531, "2 hours and 6 minutes"),
        (100_000, "1 day, 3 hours and 47 minutes"),
        (1e300, "578703 days, 16 hours and 53 minutes"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    """A duration is written with the precision that fits its length; one beyond all dates is cut off, not an error."""
    assert duration_text(seconds) == said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No such file.. [a]", "No such file. [a]"),
        ("Denied. [key=a]. [job=b].", "Denied. [key=a] [job=b]"),
        ("in two\nlines.", "in two lines."),
        ("see ../x and .. and [0194c1b0-…] or a...", "see ../x and .. and [0194c1b0-…] or a..."),
    ],
)
def test_full_stops(text: str, expected: str) -> None:
    """A message that was put together has single full stops, and none after a bracket; paths are not changed."""
    assert tidy(text) == expected


def test_the_names_of_saved_stores() -> None:
    """A saved store block is named by its type's slug."""
    assert (
        tuple(f"{block.get_block_type_slug()}/" for block in (S3StoreBlock, DirectoryStoreBlock, CloudStoreBlock))
        == STORE_BLOCKS
    )


@pytest.mark.parametrize(
    "text", ["", "plain [bold]text[/] :smile:", "wide 漢字 \x1b[31m\nnext", "x " * 60_000, " ends "]
)
def test_a_line_that_no_terminal_shows(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is printed as rich prints it, but for the colors, which only a terminal has, or who asks for them."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    Output(as_json=False).line(text, style="red")
    plain = capsys.readouterr().out
    with monkeypatch.context() as forced:
        forced.setenv("FORCE_COLOR", "1")
        forced.setenv("TERM", "xterm")
        Output(as_json=False).line(text, style="red")
    assert capsys.readouterr().out.replace("\x1b[31m", "").replace("\x1b[0m", "") == plain
    assert plain.endswith("\n")
