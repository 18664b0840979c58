"""The command line without a server: help, exit codes, streams, and how it is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from prefect_collect.cli import run
from prefect_collect.cli._demo import as_started
from tests.cli.no_server import small_bag
from tests.support.process_fork import run_fork_in_terminal

pytestmark = pytest.mark.usefixtures("no_server")

PROGRAM = Path(sysconfig.get_path("scripts")) / "prefect-collect"
COMMANDS = (
    "cancel", "collect", "delete", "demo", "download", "draft", "edit", "export", "jobs", "preview", "report", "retry",
    "show", "sign", "start", "verify",
)  # fmt: skip


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


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


def test_the_help_of_edit_names_no_default(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not given stays as it is in the draft, so that no default is named, unlike for a new collection."""
    assert run(["edit", "--help"]) == 0
    assert "[default: " not in capsys.readouterr().out
    assert run(["draft", "--help"]) == 0
    assert "[default: " in capsys.readouterr().out


def test_verify_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`verify --json` prints one object with `valid` and `problems`; a changed byte is named, with exit code 4."""
    bag = small_bag(tmp_path / "bag")
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
    bag = small_bag(tmp_path / "bag")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([PROGRAM, "verify", bag, "--json"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_bar_is_shown_where_a_terminal_is(tmp_path: Path) -> None:
    """A progress bar goes to standard error if that is a terminal, and never to standard output."""
    bag = small_bag(tmp_path / "bag")
    done = run_fork_in_terminal(lambda: run(["verify", str(bag), "--json"]), columns=80, bars=True)
    assert b"Verifying" in done.err
    assert json.loads(done.out)["valid"] is True


def test_the_module_and_the_entry_point_are_one(tmp_path: Path) -> None:
    """`python -m prefect_collect` does what `prefect-collect` does."""
    for command in ([str(PROGRAM)], [sys.executable, "-m", "prefect_collect"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("prefect-collect 0.")
