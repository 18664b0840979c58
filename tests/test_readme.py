"""The commands and the Python of README.md work as they stand there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.statuses import JobKind, JobStatus, next_steps
from tests.integration.prefect_server import PrefectServer, running_prefect_server
from tests.integration.servers import S3Server
from tests.integration.servers import seaweedfs as running_seaweedfs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"(<!-- not run: .+? -->\n)?```(sh|python)\n(.*?)```", re.DOTALL)
BLOCKS = [(kind, text) for skipped, kind, text in _BLOCK.findall(README) if not skipped]


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """The server of the README's reader, on SQLite as theirs is."""
    with running_prefect_server(tmp_path_factory.mktemp("prefect"), sqlite=True) as server:
        yield server


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server with the bucket that the README speaks of."""
    with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        server.client().create_bucket(Bucket="evidence")
        for number in range(3):
            server.client().put_object(Bucket="evidence", Key=f"mail/{number}.eml", Body=b"Subject: hello\n\nhello\n")
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the README's reader is in, with a folder docs."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "docs").mkdir()
    for name in ("a.txt", "b.txt", "c.tmp"):
        (folder / "docs" / name).write_text(f"This is {name}.\n")
    return folder


@pytest.fixture(scope="module")
def environment(prefect_server: PrefectServer, bucket: S3Server) -> dict[str, str]:
    """What the README's reader has configured: a server, keys, and the program on the PATH."""
    scripts = sysconfig.get_path("scripts")
    return {
        **prefect_server.environment(),
        **bucket.environment(),
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }


def _newest_collection(folder: Path, environment: dict[str, str], *options: str) -> str:
    command = ["prefect-collect", "jobs", "--json", "--kind", "collection", *options]
    done = subprocess.run(command, capture_output=True, check=True, cwd=folder, env=environment)
    return str(json.loads(done.stdout)[0]["job_id"])


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_the_commands(folder: Path, environment: dict[str, str]) -> None:
    """Each command of the README ends with 0, in the README's order; JOB is the newest collection, DRAFT the draft.

    What they say besides: that no worker is there, so that a draft runs here.
    """
    commands = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line]
    assert len(commands) > 10
    job = draft = ""
    for command in commands:
        assert command.startswith("prefect-collect ")
        if " JOB" in command:
            job = job or _newest_collection(folder, environment)
            command = re.sub(r"\bJOB\b", job[:8], command)
        if " DRAFT" in command:
            draft = draft or _newest_collection(folder, environment, "--status", "Drafted")
            command = re.sub(r"\bDRAFT\b", draft[:8], command)
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=False, cwd=folder, env=environment
        )
        said = "No worker is running, so the job runs here.\n" if " start " in command else ""
        assert (done.returncode, done.stderr) == (0, said), f"{command}\n{done.stdout}\n{done.stderr}"
    assert json.loads((folder / "job.json").read_text())["found"] == 3
    assert json.loads((folder / "verified.json").read_text())["valid"] is True


@pytest.mark.integration
def test_the_python(folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """The Python examples of the README run one after the other in one program."""
    examples = [text for kind, text in BLOCKS if kind == "python"]
    assert len(examples) >= 3
    program = tmp_path / "readme.py"
    program.write_text("\n".join(examples))
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "Successfully completed COMPLETED" in done.stdout
    assert Path(lines[0]).is_file(), "the package of the nightly flow"
    assert lines[-1] == "2 of 2 items succeeded.", "what the draft has come to"


def test_the_table_of_statuses_is_the_specifications() -> None:
    """The README's table names each status with the next steps of the status model."""
    rows = {cells[0]: cells[2:4] for line in README.splitlines() if len(cells := _cells(line)) == 4}
    for status in JobStatus:
        assert status.value in rows
        for kind, cell in zip(JobKind, rows[status.value], strict=True):
            try:
                steps = next_steps(kind, status)
            except Exception:
                steps = ()
            assert cell == ", ".join(steps), (status, kind)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("| ") else []


def test_every_command_is_in_the_readme() -> None:
    """The README's table names every command that there is."""
    from prefect_collect.cli._app import app

    names = [info.name or getattr(info.callback, "__name__", "") for info in app.registered_commands]
    assert [name for name in names if f"`{name} " not in README and f"`{name}`" not in README] == []
    assert len(names) == 16
