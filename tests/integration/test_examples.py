"""The commands and the Python programs of the pages work as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import setuptools

from tests.integration.cli.conftest import run_here, used_quietly
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server
from tests.support.documented_examples import ROOT, RUN, Done, Terminal, examples

pytestmark = pytest.mark.integration

_FOLDERS: Final = ("src", "blocks", "deployments", "flows", "tasks")
_FILES: Final = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def environment(prefect_server: PrefectServer, seaweedfs: S3Server) -> dict[str, str]:
    """What the reader has configured: Prefect's server, the keys of a bucket, and the program on the PATH."""
    return {
        **prefect_server.environment(),
        **seaweedfs.environment(),
        "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }


@pytest.fixture(scope="module")
def evidence(seaweedfs: S3Server) -> None:
    """The bucket that the pages speak of."""
    seaweedfs.client().create_bucket(Bucket="evidence")
    for number in range(3):
        seaweedfs.client().put_object(Bucket="evidence", Key=f"mail/{number}.eml", Body=b"Subject: hello\n\nhello\n")


@pytest.fixture
def terminal(
    tmp_path: Path, environment: dict[str, str], prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """A terminal in a folder that has a folder docs; the staging store is the page's own.

    Its commands run in this process, which takes less time than a fork for each; `test_the_tutorial` has forks.
    """

    def program(words: list[str], folder: Path) -> Done:
        monkeypatch.chdir(folder)
        with used_quietly(prefect_server), pytest.MonkeyPatch.context() as patch:
            for name, value in reader.items():
                patch.setenv(name, value)
            done = run_here(*words)
        return Done(done.code, done.out, done.err)

    (tmp_path / "docs").mkdir()
    for name in ("a.txt", "b.txt", "c.tmp"):
        (tmp_path / "docs" / name).write_text(f"This is {name}.\n")
    reader = {**environment, "PREFECT_INTEGRATIONS_COLLECT_STORE": str(tmp_path / "store")}
    with Terminal(tmp_path, reader, program) as terminal:
        yield terminal


def _newest(terminal: Terminal, *options: str) -> str:
    """Return the beginning of the id of the newest collection, as a reader copies it."""
    done = terminal.run(f"prefect-collect jobs --json --kind collection --limit 1 {' '.join(options)}")
    return str(json.loads(done.out)[0]["job_id"])[:8]


def _run_commands(terminal: Terminal, page: str) -> list[tuple[str, Done]]:
    """Run the commands of a page one after the other; JOB is its first collection, DRAFT its draft.

    After a line of comment JOB is the newest collection. EARLIER is another collection, with the same documents.
    """
    job = draft = ""
    run = []
    for example in examples(page):
        lines = [line for line in example.text.splitlines() if line] if example.language == "sh" else []
        for line in lines:
            if line.startswith("# "):
                job = ""
                continue
            if re.search(r"\bEARLIER\b", line):
                terminal.run("prefect-collect collect docs --name earlier")
                line = re.sub(r"\bEARLIER\b", _newest(terminal), line)
            if re.search(r"\bJOB\b", line):
                job = job or _newest(terminal)
            if re.search(r"\bDRAFT\b", line):
                draft = draft or _newest(terminal, "--status", "Drafted")
            command = re.sub(r"\bDRAFT\b", draft, re.sub(r"\bJOB\b", job, line))
            done = terminal.run(command)
            expected = example.code if line == lines[-1] else 0
            assert done.code == expected, f"{command}\n{done.out}\n{done.err}"
            run.append((command, done))
    return run


def _is_of_another_job(line: str, store: Path) -> bool:
    """Return whether `jobs` says of a job of another test on this server that not all is known of it."""
    named = re.match(r"\(not all is known of ([0-9a-f-]{36}):", line)
    return named is not None and not (store / named[1]).exists()


def _is_prefects(line: str) -> bool:
    """Return whether Prefect says, as a program ends on a busy machine, that it is still sending its events."""
    return "EventsWorker - Still processing items" in line


def _said(done: Done, passes: Callable[[str], bool]) -> str:
    """Return what a program said on standard error, without the lines that pass."""
    return "".join(line for line in done.err.splitlines(keepends=True) if not passes(line))


def _prepare(page: str, terminal: Terminal, folder: Path) -> None:
    """Make what a page speaks of before its first command: a collection, or a folder with an mbox file."""
    if page in ("docs/bags.md", "docs/duplicates.md"):
        assert terminal.run("prefect-collect collect docs").code == 0
    if page == "docs/mail.md":
        (folder / "archive").mkdir()
        message = "From jordan@example.org Mon Jan  5 10:00:00 2026\nFrom: Jordan\nSubject: hello\n\nhello\n\n"
        (folder / "archive" / "inbox.mbox").write_text(message)


@pytest.mark.usefixtures("evidence")
@pytest.mark.parametrize("page", [page for page in RUN["sh"] if page != "docs/tutorial.md"])
def test_the_commands(page: str, terminal: Terminal, tmp_path: Path) -> None:
    """Each command ends with 0 and warns of nothing, in the order of the page.

    What one says besides: that no worker is there, so that a draft runs here.
    """
    _prepare(page, terminal, tmp_path)
    run = _run_commands(terminal, page)
    assert len(run) >= 3
    for command, done in run:
        said = "No worker is running, so the job runs here.\n" if " start " in command else ""
        assert _said(done, lambda line: _is_of_another_job(line, tmp_path / "store")) == said, command
    if page == "docs/command-line.md":
        assert json.loads((tmp_path / "job.json").read_text())["found"] == 2
        assert json.loads((tmp_path / "verified.json").read_text())["valid"] is True


@pytest.mark.parametrize("page", RUN["python"])
def test_the_python(page: str, terminal: Terminal, tmp_path: Path) -> None:
    """The Python examples of a page run one after the other, as one program."""
    program = "\n".join(example.text for example in examples(page) if example.language == "python")
    done = terminal.run_python(program, tmp_path / "example.py")
    assert (done.code, _said(done, _is_prefects)) == (0, "")
    if page == "docs/python.md":
        lines = done.out.splitlines()
        assert "Successfully completed COMPLETED" in done.out
        assert lines[-2] == "2 of 2 items succeeded.", "what the draft has come to"
        assert Path(lines[-1]).is_file(), "the package of the nightly flow"


def test_the_tutorial(environment: dict[str, str], tmp_path: Path) -> None:
    """The commands of the tutorial work in its order, in one terminal, from a copy of the repository.

    Its environment is made and filled by pip for real, but for the dependencies, which are those of the tests; the
    program that is installed answers, and its other commands are run as forks.
    """
    home, tree = tmp_path / "home", tmp_path / "prefect-collect"
    home.mkdir()
    for name in (*_FOLDERS, *_FILES):
        _copy(ROOT / name, tree / name)
    with Terminal(tree, {**environment, **_reader(home, tmp_path), "HOME": str(home)}) as terminal:
        run = _run_commands(terminal, "docs/tutorial.md")
        program = terminal.shell("type -p prefect-collect").out.strip()
    assert program == str(home / "collect" / "bin" / "prefect-collect")
    said = [done.out for _, done in run]
    assert any("2 of 3 items succeeded, 1 failed (not_found 1)." in out for out in said)
    assert any("3 of 3 items succeeded." in out for out in said)
    assert said[-1].count(": OK") == 3


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)


def _reader(home: Path, folder: Path) -> dict[str, str]:
    """Return the variables that have `python3` be this Python, and pip need no network."""
    programs, tools = folder / "programs", folder / "tools"
    programs.mkdir()
    tools.mkdir()
    (programs / "python3").symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    site = Path(setuptools.__file__).parents[1]
    for name in ("setuptools", "_distutils_hack", "pkg_resources"):
        if (site / name).exists():
            (tools / name).symlink_to(site / name)
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tools),
        "PIP_NO_DEPS": "1",
        "PIP_NO_COMPILE": "1",
        # pip takes 0 for "no isolation".
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
    }
