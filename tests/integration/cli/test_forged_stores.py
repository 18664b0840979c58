"""Commands and recovery on jobs that Prefect knows and whose files were forged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType

from prefect_collect.flows import recover
from prefect_collect.job_folder import custody_log
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.stores import DirectoryStore
from tests.integration.cli.conftest import Done
from tests.support.run_attempts import enter_all

pytestmark = pytest.mark.integration

Here = Callable[..., Done]


def _change(file: Path, name: str, value: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))


FORGERIES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda job: None,
    "job.json deep": lambda job: (job / "job.json").write_bytes(b"[" * 100_000),
    "result with text for a number": lambda job: _change(job / "reports/0001/result.json", "counts", {"found": "many"}),
    "custody log gone": lambda job: shutil.rmtree(job / "custody"),
    "manifest of no rows": lambda job: (job / "manifest/0001.parquet").write_bytes(b"PAR1" * 9),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with an item that can be read, and an item that cannot."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "good").write_text("good")
    (root / "gone").symlink_to("nowhere")
    return root


def test_forged_jobs(here: Here, root: Path, tmp_path: Path) -> None:
    """An export and a retry are refused with a line that says why, and write nothing. The recovery ends each job,
    and its log names what was wrong with the job. Each can be deleted. The job beside them stays whole.
    """
    store, made = tmp_path / "store", dict[str, str]()
    at = ["--store", store]
    for what, forge in FORGERIES.items():
        done = here("collect", root, *at, "--follow-symlinks", "--json")
        assert (done.code, done.json["succeeded"], done.json["failed"]) == (3, 1, 1), done
        made[what] = done.json["job_id"]
        forge(store / made[what])
    whole = made.pop("nothing")
    listed = {job["job_id"]: job for job in here("jobs", *at, "--json").json}
    assert {whole, *made.values()} == {*listed}
    assert listed[whole]["unreadable"] is None
    assert listed[made["job.json deep"]]["unreadable"]
    for what, job in made.items():
        for command in (["export", job, "--to", tmp_path / "out"], ["retry", job]):
            done = here(*command, *at)
            assert done.code == 4, (what, command, done)
            assert "Restore" in done.err or "restore" in done.err, (what, command, done)
            assert not (tmp_path / "out").exists(), what
    with get_client(sync_client=True) as client:
        for job in made.values():
            client.set_flow_run_state(UUID(job), State(type=StateType.CRASHED, name="Crashed"), force=True)
        recover()
        ends = {what: client.read_flow_run(UUID(job)).state_name for what, job in made.items()}
    assert {*ends.values()} <= {"Failed", "Partially completed"}, ends
    assert ends["result with text for a number"] == "Failed"
    entry = custody_log.check_chain(JobFolder(DirectoryStore(store), made["custody log gone"])).entries[-1]
    assert (entry.action, "is missing" in entry.details["log_damage"]) == ("recovered", True)
    for what, job in made.items():
        done = here("delete", job, *at, "--yes")
        assert done.code == 0, (what, done)
        assert [*(store / job).rglob("*.json")] == [max((store / job / "custody").iterdir())], what
    assert here("export", whole, "--to", tmp_path / "out", *at).code == 0
    done = here("retry", whole, *at)
    assert done.code == 3, (done.out, done.err)


def test_a_download_with_a_forged_place(here: Here, root: Path, tmp_path: Path) -> None:
    """A result that names another package is not believed, even if the custody log was forged with it."""
    store, at = tmp_path / "store", ["--store", tmp_path / "store"]
    job = here("collect", root, *at, "--follow-symlinks", "--json").json["job_id"]
    done = here("export", job, "--to", tmp_path / "out", *at, "--json")
    exported = done.json["job_id"]
    assert here("download", exported, "--to", tmp_path / "home", *at).code == 0
    (tmp_path / "other.zip").write_bytes(b"PK another")
    _change(store / exported / "reports/0001/result.json", "package", str(tmp_path / "other.zip"))
    for forged, said in ((False, "vouches for"), (True, "in another place than the job's destination")):
        if forged:
            shutil.rmtree(store / exported / "custody")
            shutil.rmtree(store / exported / "evidence")
            enter_all(JobFolder(DirectoryStore(store), exported))
        done = here("download", exported, "--to", tmp_path / "again", *at)
        assert (done.code, said in done.err) == (4, True), done
        assert not (tmp_path / "again").exists() or not [*(tmp_path / "again").iterdir()]
