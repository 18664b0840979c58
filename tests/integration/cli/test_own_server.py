"""Commands without a configured Prefect server: one is started for the command, and stopped with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import PROGRAM, Command, Done, until
from tests.integration.jobs.dying_processes import run_dying

pytestmark = pytest.mark.integration


def _processes_of(home: Path) -> list[int]:
    """Return the processes that run with that PREFECT_HOME."""
    wanted = f"PREFECT_HOME={home}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_a_server_for_each_command(command: Command, tmp_path: Path) -> None:
    """A command says that it starts a server, works, and leaves no process; what it made is kept in PREFECT_HOME.

    A draft is found by the next command that starts a server; a command that needs none says what to set. The server
    also ends when the command is killed: here between the job's result and its state. A retry gives the job the status
    of its result, and as that does not offer a retry, ends with its exit code.
    """
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_bytes(b"a")
    home = tmp_path / "home"
    alone = command.without_server(home)
    made = alone("draft", tmp_path / "files", "--json")
    assert made.code == 0, made.err
    assert "Starting Prefect's server" in made.err
    assert "PREFECT_API_URL" in made.err
    assert _processes_of(home) == []
    job = made.json["job_id"]
    shown = alone("show", job)
    assert (shown.code, "PREFECT_API_URL" in shown.error) == (2, True)
    at = "state COMPLETED Successfully completed #1"
    died = run_dying(alone.environment, tmp_path / "reports", "command", "start", job[:10], at=at, patience=200)
    assert died.code == -9, died.said
    until(lambda: not _processes_of(home))
    done = alone("retry", job, "--json")
    assert (done.code, done.json["status"]) == (0, "Successfully completed"), done.err
    assert done.json["succeeded"] == 1
    assert done.json["error_report"].startswith(str(home / "collect"))


def test_the_demonstration(here: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`demo` shows a failure, repairs it, retries one item, and ends with a package that is valid."""
    monkeypatch.setattr(sys, "argv", [str(PROGRAM)])
    tree = tmp_path / "tree"
    (tree / "json").mkdir(parents=True)
    for name in ("a.py", "b.py", "json/decoder.py"):
        (tree / name).write_text(f"# {name}\n")
    done = here("demo", tmp_path / "demo", "--tree", tree)
    assert done.code == 0, done.err
    for said in ("Partially completed", "1 failed", "1 item tried", "Successfully completed", "Valid: 3 items"):
        assert said in done.out
    [look] = [line.split()[1] for line in done.out.splitlines() if line.strip().startswith("look ")]
    assert look == "prefect-collect" or Path(look).is_file()
    assert (tree / "json" / "decoder.py").read_text() == "# json/decoder.py\n"
    again = here("demo", tmp_path / "demo", "--tree", tree, "--json")
    assert again.code == 0, again.err
    assert (again.json["valid"], again.json["tried_again"]) == (True, 1)
    assert (again.json["collection"]["succeeded"], again.json["collection"]["failed"]) == (3, 0)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious").write_text("")
    refused = here("demo", mine, "--tree", tree)
    assert refused.code == 2
    assert "not from a demonstration" in refused.error
