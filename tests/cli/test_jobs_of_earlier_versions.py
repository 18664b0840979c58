"""Staging stores of earlier versions, as docs/deploy.md describes them, read without Prefect.

Each archive was made by that version from a folder with a file and a broken link: ``store/`` holds a collection and
its export, ``out/`` the package.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks import FileSource
from prefect_collect.cli import run
from prefect_collect.collecting.incremental import Incremental
from prefect_collect.errors import EvidenceError
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import open_store
from tests.support.run_attempts import attempt, export

DATA = Path(__file__).parents[1] / "data"
JOBS = {
    "0.1.0": ("25c52334-9370-444c-8767-947c1a0c9229", "221191ee-cb2b-489a-ac13-23786b37bf42"),
    "0.2.0": ("c3040e9f-e408-4f15-842b-a3d5b8eb7f81", "494b1576-4f3f-4141-a07e-21c4eb53007f"),
}
"""By version: the ids of the collection and of its export."""

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Return a function that runs a command, and returns its exit code and output."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)

    def call(*words: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        code = run([*map(str, words)])
        return code, "".join(capsys.readouterr())

    return call


def unpacked(version: str, folder: Path) -> tuple[Path, Path]:
    """Unpack the staging store and the package of that version, and return their paths."""
    with zipfile.ZipFile(DATA / f"jobs-{version}.zip") as archive:
        archive.extractall(folder)
    return folder / "store", folder / "out" / "test.zip"


def test_jobs_of_0_1_0(said: Said, tmp_path: Path) -> None:
    """Jobs without a custody log are shown and reported, and `verify` says that it is missing.

    Their items are not used, as nothing vouches for them; their packages are valid.
    """
    (store, package), (collection, exported) = unpacked("0.1.0", tmp_path), JOBS["0.1.0"]
    at: list[Any] = ["--store", store]
    code, text = said("show", collection, *at)
    assert (code, "1 of 2 items succeeded" in text) == (0, True), text
    code, text = said("report", collection, *at)
    assert (code, "not_found" in text) == (0, True), text
    for job in (collection, exported):
        code, text = said("verify", job, *at)
        assert (code, "there is no custody log" in text) == (4, True), text
    for command in (["preview", collection], ["download", exported, "--to", tmp_path / "home"]):
        code, text = said(*command, *at)
        assert (code, "The custody log of the job is missing" in text) == (4, True), text
    folder = JobFolder(open_store(store), collection)
    source = FileSource(root=tmp_path)
    for use in (lambda: export(folder, open_store(tmp_path / "again")), lambda: attempt(folder, source)):
        with pytest.raises(EvidenceError, match="custody log") as refused:
            use()
        assert refused.value.code == "evidence_corrupt"
    assert len(Incremental(folder.store, [collection])) == 0
    assert not (tmp_path / "home").exists()
    code, text = said("verify", package)
    assert (code, "Valid: 1 item" in text) == (0, True), text


def test_jobs_of_0_2_0(said: Said, tmp_path: Path) -> None:
    """Jobs of that version are valid; their items are shown, exported, and used for an incremental collection."""
    (store, package), (collection, exported) = unpacked("0.2.0", tmp_path), JOBS["0.2.0"]
    for words in (
        ["verify", collection, "--store", store], ["verify", exported, "--store", store],
        ["preview", collection, "--store", store], ["verify", package],
    ):  # fmt: skip
        code, text = said(*words)
        assert code == 0, text
    folder = JobFolder(open_store(store), collection)
    assert export(folder, open_store(tmp_path / "again"))[1].status is JobStatus.SUCCESSFULLY_COMPLETED
    assert len(Incremental(folder.store, [collection])) == 1
