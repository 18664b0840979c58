"""Passphrases on the command line: when they are asked for, and what is said if none is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prefect_collect.cli import run
from prefect_collect.packages.contents.encrypted import write_encrypted
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.process_fork import run_fork_at_prompt
from tests.support.run_attempts import attempt, export, new_job

pytestmark = pytest.mark.usefixtures("no_server")

PASSPHRASE = b"correct horse battery"


def exported(folder: Path) -> str:
    """Export a collection of one item below the folder, and return the export's id."""
    source = MemorySource({"a.txt": Thing("good", b"alpha")})
    collection = new_job(DirectoryStore(folder / "staging"), source)
    attempt(collection, source)
    job, _ = export(collection, DirectoryStore(folder / "out"), "bagit")
    return job.job_id


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return an encrypted file, as if it were the copy of a package."""
    path = tmp_path / "letters.aes.zip"
    with path.open("wb") as file:
        write_encrypted(file, "letters.zip", [b"no package"], PASSPHRASE)
    return path


def test_no_passphrase_is_given(copy: Path) -> None:
    """Ctrl-D at the prompt is wrong use, and said in words."""
    done = run_fork_at_prompt(lambda: sys.exit(run(["verify", str(copy)])), prompt=b"Passphrase: ", typed=b"\x04")
    assert (done.code, b"\r\nprefect-collect: No passphrase was given; type one, or" in done.out) == (2, True), done.out


def test_a_passphrase_that_is_typed(copy: Path) -> None:
    """What is typed is not shown, and is the passphrase."""
    typed = PASSPHRASE + b"\n"
    done = run_fork_at_prompt(lambda: sys.exit(run(["verify", str(copy)])), prompt=b"Passphrase: ", typed=typed)
    assert (done.code, b"another passphrase" in done.out, PASSPHRASE in done.out) == (4, False, False), done.out


def test_a_new_passphrase_that_is_too_short(tmp_path: Path) -> None:
    """It is refused as soon as it was typed, before it is asked for again."""
    job_id = exported(tmp_path)
    arguments = ["download", job_id, "--store", str(tmp_path / "staging"), "--to", str(tmp_path), "--encrypt"]
    done = run_fork_at_prompt(lambda: sys.exit(run(arguments)), prompt=b"Passphrase: ", typed=b"short\n")
    assert (done.code, b"must have at least" in done.out, b"The same again" in done.out) == (2, True, False), done.out


@pytest.mark.parametrize("command", ["verify", "download"])
def test_without_pyzipper_no_passphrase_is_asked_for(
    command: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not installed is said before a user types a passphrase in vain."""
    job_id = exported(tmp_path)
    arguments = {
        "verify": ["verify", str(copy)],
        "download": ["download", job_id, "--store", str(tmp_path / "staging"), "--to", str(tmp_path), "--encrypt"],
    }
    monkeypatch.setitem(sys.modules, "pyzipper", None)  # how Python hides a module
    assert run(arguments[command]) == 2
    out, err = capsys.readouterr()
    assert (out, "Encrypted packages need pyzipper; install it with" in err) == ("", True), err
