"""Commands on a job with forged files print one line that says why, end with an exit code, and show the other jobs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_collect.cli import run
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, new_job

FINE, FORGED = (f"0194c1b0-0000-7000-8000-00000000000{number}" for number in (1, 2))

FORGERIES: dict[str, Callable[[Path], object]] = {
    "job.json deep": lambda job: (job / "job.json").write_bytes(b"[" * 100_000),
    "job.json of another": lambda job: (job / "job.json").write_bytes((job.parent / FINE / "job.json").read_bytes()),
    "job.json a pipe": lambda job: ((job / "job.json").unlink(), os.mkfifo(job / "job.json")),
    "job.json a link": lambda job: ((job / "job.json").unlink(), (job / "job.json").symlink_to("/etc/passwd")),
    "result text for a number": lambda job: _change(job / "reports/0001/result.json", "counts", {"found": "many"}),
    "result with an unknown code": lambda job: _change(job / "reports/0001/result.json", "codes", {"%s": 3}),
    "result with a huge number": lambda job: _change(job / "reports/0001/result.json", "estimated_items", 10**400),
    "result without its zone": lambda job: _change(job / "reports/0001/result.json", "ended", "2026-01-01T00:00:00"),
    "custody deep": lambda job: (job / "custody/000002.json").write_bytes(b'{"a":' * 50_000),
    "custody number absurd": lambda job: (job / "custody/999999999999.json").write_bytes(b"{}"),
    "report no Parquet": lambda job: (job / "reports/0001/errors.parquet").write_bytes(b"PAR1" * 9),
    "manifest no Parquet": lambda job: (job / "manifest/0001.parquet").write_bytes(b"PAR1" * 9),
}


def _change(file: Path, name: str, value: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))


@pytest.fixture(scope="module")
def two_jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store with two equal jobs."""
    store = DirectoryStore(tmp_path_factory.mktemp("store"))
    source = MemorySource({"good": Thing("good", b"content"), "denied": Thing("denied")})
    for job_id in (FINE, FORGED):
        attempt(new_job(store, source, job_id), source)
    return Path(store.url)


@pytest.mark.parametrize("what", FORGERIES)
def test_commands_on_a_forged_job(
    what: str, two_jobs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command that reads a job ends with its exit code, never with "Unexpected"; the other job stays listed."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    store = DirectoryStore(shutil.copytree(two_jobs, tmp_path / "store"))
    FORGERIES[what](Path(store.locate(FORGED)))
    at = ["--store", store.url]
    assert run(["jobs", *at, "--json"]) == 0
    listed = {job["job_id"]: job for job in json.loads(capsys.readouterr().out)}
    assert listed[FINE]["unreadable"] is None
    if what.startswith(("job.json deep", "job.json of", "job.json a link", "result")):
        assert listed[FORGED]["unreadable"]
    for command in (["show"], ["report"], ["verify"], ["preview"], ["download", "--to", str(tmp_path / "home")]):
        code = run([command[0], FORGED, *command[1:], *at])
        said = capsys.readouterr()
        assert code in (0, 2, 4), (command, said)
        assert "nexpected" not in said.err + said.out
        assert "Traceback" not in said.err + said.out
        if command == ["verify"] and what != "custody number absurd":
            assert code == 4
    assert not (tmp_path / "home").exists() or not [*(tmp_path / "home").iterdir()]
    for command in (["show"], ["report"], ["verify"], ["preview"]):
        assert run([command[0], FINE, *at]) == 0
    assert JobFolder(store, FINE).result() is not None


def test_looking_into_a_job_without_a_whole_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preview says if the log's end came late, and writes nothing; it shows nothing of a job whose log is gone."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    store = DirectoryStore(tmp_path / "store")
    source = MemorySource({"good": Thing("good", b"content")})
    attempt(new_job(store, source, FINE), source)
    log = tmp_path / "store" / FINE / "custody"
    preview = ["preview", FINE, "--store", store.url]
    assert (run(preview), capsys.readouterr().err) == (0, "")
    (log / "000003.json").unlink()
    assert run(preview) == 0
    assert "nothing vouched for the attempt's files" in capsys.readouterr().err
    assert sorted(entry.name for entry in log.iterdir()) == ["000001.json", "000002.json"]
    shutil.rmtree(log)
    assert run(preview) == 4
    said = capsys.readouterr()
    assert ("custody log" in said.err, said.out) == (True, "")
