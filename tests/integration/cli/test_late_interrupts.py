"""Ctrl-C that comes when a job has done its work: the job ends as what it came to, and the command says so."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from prefect_collect import collect, jobs
from prefect_collect.blocks import FileSource
from prefect_collect.collecting import closing
from prefect_collect.errors import JobInterrupted
from prefect_collect.exporting import attempt as exporting
from prefect_collect.flows.running_job import RunningJob, _hooks
from prefect_collect.statuses import JobStatus
from prefect_collect.verification import verify_job
from tests.integration.cli.conftest import Done

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("heeding_interrupts")]

_INSTANTS: Final[dict[str, tuple[Any, str]]] = {
    "the result is written": (closing, "record_result"),
    "the end is published": (RunningJob, "ended"),
    "the end was published": (RunningJob, "_final"),
    "the slot is given back": (_hooks, "job_ended"),
    "the job has ended": (_hooks, "refresh_snapshot"),
}


def interrupt_before(monkeypatch: pytest.MonkeyPatch, holder: Any, name: str) -> None:
    """Have Ctrl-C come just before the function is called for the first time."""
    called = getattr(holder, name)

    def interrupted(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(holder, name, called)
        os.kill(os.getpid(), signal.SIGINT)
        return called(*args, **options)

    monkeypatch.setattr(holder, name, interrupted)


@pytest.mark.parametrize("instant", _INSTANTS)
def test_a_collection_whose_work_is_done(
    here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    """The command prints the job's summary, and exits as for any successful job; the custody log says nothing else."""
    interrupt_before(monkeypatch, *_INSTANTS[instant])
    done = here("collect", files(a=b"a", b=b"b"), "--store", tmp_path / "store", "--json")
    assert (done.code, done.json["status"], done.json["succeeded"]) == (0, "Successfully completed", 2), done.err
    checked = verify_job(jobs.get(done.json["job_id"]).folder)
    assert (checked.problems, checked.warnings) == ([], [])


def test_an_export_whose_work_is_done(
    here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command prints the export's summary; a retry that is interrupted as late does the same."""
    (root := files(a=b"a")).joinpath("broken").symlink_to("nowhere")
    store = ("--store", tmp_path / "store", "--json")
    job = here("collect", root, "--follow-symlinks", *store).json["job_id"]
    interrupt_before(monkeypatch, exporting, "record_result")
    done = here("export", job, "--to", tmp_path / "out", *store)
    assert (done.code, done.json["status"]) == (0, "Successfully completed"), done.err
    assert here("verify", done.json["package"]).code == 0
    signal.signal(signal.SIGINT, signal.default_int_handler)
    (root / "broken").unlink()
    (root / "broken").write_bytes(b"whole")
    interrupt_before(monkeypatch, RunningJob, "ended")
    again = here("retry", job, *store)
    assert (again.code, again.json["status"], again.json["attempt"]) == (0, "Successfully completed", 2), again.err


@pytest.mark.usefixtures("here")
def test_a_script_ends_by_it(files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Python, Ctrl-C ends the program as ever, with the id of the job, which has succeeded."""
    interrupt_before(monkeypatch, closing, "record_result")
    with pytest.raises(JobInterrupted) as raised:
        collect(FileSource(root=files(a=b"a")), store=str(tmp_path / "store"))
    assert jobs.get(raised.value.job_id).status is JobStatus.SUCCESSFULLY_COMPLETED


def test_the_export_of_a_collection(
    here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Ctrl-C comes as late, the export that waits is not begun, and a line says so; the next job starts it."""
    interrupt_before(monkeypatch, RunningJob, "ended")
    arguments = ("collect", files(a=b"a"), "--store", tmp_path / "store")
    done = here(*arguments, "--export-to", tmp_path / "out", "--json")
    assert (done.code, done.json["status"]) == (0, "Successfully completed"), done.err
    assert done.json["export"]["status"] == "Awaiting collection"
    assert f"The export {done.json['export']['job_id']} was not begun" in done.err
    assert here(*arguments).code == 0
    export = here("show", done.json["export"]["job_id"], "--json")
    assert export.json["status"] == "Successfully completed"
