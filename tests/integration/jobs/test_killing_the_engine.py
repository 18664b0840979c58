"""kill -9 at many moments of a process that collects or exports: the next start keeps committed shards and ends."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks.file_source import FileSource
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.job_folder.ledger import read_ledger
from prefect_collect.job_folder.process_identity import is_gone
from prefect_collect.sources import Item
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests import forked
from tests.integration.jobs import engine_child
from tests.support.run_attempts import attempt, check_account, export, held, new_export, new_job

pytestmark = pytest.mark.integration
_ROOT = Path(__file__).parents[3]


def child(*words: str | os.PathLike[str]) -> subprocess.Popen[str]:
    """Return a process that runs an attempt, when the attempt is about to begin."""
    process = forked.Popen(
        [sys.executable, engine_child.__file__, *words], stdout=subprocess.PIPE, text=True, cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def killed_after(process: subprocess.Popen[str], seconds: float) -> bool:
    """Kill the process after some seconds; return whether it was still running then."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return process.returncode != 0


def committed(folder: JobFolder) -> set[str]:
    """Return the ids of the items that ledger parts hold."""
    tables = [read_ledger(folder, n, part) for n in folder.attempts() for part in folder.parts("ledger", n)]
    return {row["item_id"] for table in tables if table is not None for row in table.to_pylist() if row["sha256"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree of 200 files, one of them large enough for a segment of its own."""
    root = tmp_path / "root"
    root.mkdir()
    for n in range(200):
        (root / f"{n:03d}").write_bytes(random.Random(n).randbytes(n * 7))
    with (root / "large").open("wb") as file:
        file.truncate(80 << 20)
    return root


@pytest.mark.parametrize("moment", [0.05, 0.4, 0.7])
def test_killing_a_collection(root: Path, tmp_path: Path, moment: float) -> None:
    """No committed item is read again, no half shard is visible, and the end is that of an undisturbed run."""
    store = DirectoryStore(tmp_path / "store")
    job = str(uuid.uuid4())
    killed_after(child("collect", store.url, job, root), moment)
    folder = JobFolder(store, job)
    if not folder.attempts():
        new_job(store, FileSource(name="files", root=root), job)
    else:
        assert is_gone(folder.claimed(1))
    kept = committed(folder)
    source = FileSource(name="files", root=root)
    read = watched(source)
    result = attempt(folder, source, workers=2)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert not read & kept
    contents = {path.name: path.read_bytes() for path in root.iterdir()}
    check_account(folder, contents)
    assert held(folder).keys() == contents.keys()


def watched(source: FileSource) -> set[str]:
    """Return a set that gets the ids of the items that are read from now on."""
    read: set[str] = set()
    many, one = source.read_many, source.open

    def read_many(items: Any, concurrency: int) -> Any:
        for item, content in many(items, concurrency):
            read.add(item.id)
            yield item, content

    def open_one(item: Item) -> Any:
        read.add(item.id)
        return one(item)

    object.__setattr__(source, "read_many", read_many)
    object.__setattr__(source, "open", open_one)
    return read


@pytest.mark.parametrize("moment", [0.02, 0.1, 0.25])
def test_killing_an_export(root: Path, tmp_path: Path, moment: float) -> None:
    """The next start delivers the same bytes as an undisturbed export."""
    store = DirectoryStore(tmp_path / "store")
    source = FileSource(name="files", root=root)
    folder = new_job(store, source)
    attempt(folder, source, workers=2)
    export(folder, DirectoryStore(tmp_path / "quiet"))
    job = new_export(bind_collection(store, folder.job_id))
    killed_after(child("export", store.url, job.job_id, tmp_path / "out", folder.job_id), moment)
    if job.result() is None:
        _, result = export(folder, DirectoryStore(tmp_path / "out"), job=job)
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert (tmp_path / "out/test.zip").read_bytes() == (tmp_path / "quiet/test.zip").read_bytes()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["test.zip"]
