"""How many worker processes a job starts, and what each may use of its source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prefect_collect.blocks import FileSource, ImapSource, ObjectStoreSource
from prefect_collect.flows import _worker_processes
from prefect_collect.flows._worker_processes import count_workers, usable_cores, workers_by_need


def test_a_worker_for_each_core_or_as_many_as_asked() -> None:
    """A source without a limit of connections is read by a worker for each core, or by as many as the user says."""
    source = FileSource(root=Path("/tmp"))
    assert count_workers(source, None) == usable_cores()
    assert count_workers(source, 7) == 7
    assert source.for_worker(7) is source


def test_the_connections_of_all_workers_and_the_listing_are_those_of_the_source() -> None:
    """One connection stays for the listing; a source that allows one connection is read by no worker."""
    source = ImapSource(url="imaps://anna@mail.example", connections=8)
    assert count_workers(source, 100) == 7
    for workers in (1, 2, 3, 7):
        assert source.for_worker(workers).connections * workers + 1 <= 8
    assert source.for_worker(2).connections == 3
    assert source.connections == 8
    assert count_workers(source.model_copy(update={"connections": 1}), None) == 0


@pytest.mark.parametrize(("said", "cores"), [("150000 100000\n", 2), ("max 100000\n", None), ("50000 100000\n", 1)])
def test_a_container_s_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, cores: int | None) -> None:
    """A container that may use less than the machine's cores gets so many workers fewer."""
    (tmp_path / "cpu.max").write_text(said)
    monkeypatch.setattr(_worker_processes, "_QUOTA", tmp_path / "cpu.max")
    available = len(os.sched_getaffinity(0))
    assert usable_cores() == (available if cores is None else min(cores, available))


class _OfAUser(FileSource):
    """A source that a user wrote."""

    _block_type_slug = "of-a-user"


def test_workers_that_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders and buckets are read by up to four workers, if there are cores and memory for them; nothing else is."""
    folder = FileSource(root=Path("/tmp"))
    monkeypatch.setattr(_worker_processes, "_CONTAINER", tmp_path)
    found = []
    for cores in (1, 2, 16):
        monkeypatch.setattr(_worker_processes, "usable_cores", lambda cores=cores: cores)
        found.append((workers_by_need(folder, None), workers_by_need(folder, 3), workers_by_need(folder, 1)))
    assert found == [(0, 0, 0), (2, 3, 0), (4, 3, 0)]
    for url in ("s3://bucket", "gs://bucket", "az://container"):
        assert workers_by_need(ObjectStoreSource(url=url), None) == 4
    assert workers_by_need(_OfAUser(root=Path("/tmp")), None) == 0
    assert workers_by_need(ImapSource(url="imaps://anna@mail.example"), None) == 0
    (tmp_path / "memory.current").write_text(f"{1 << 30}\n")
    (tmp_path / "memory.max").write_text(f"{2 << 30}\n")
    assert workers_by_need(folder, None) == 4
    (tmp_path / "memory.max").write_text(f"{(2 << 30) - 1}\n")
    assert workers_by_need(folder, None) == 0
    assert workers_by_need(folder, 3) == 3
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 1\n")  # the kernel drops these when memory is short
    assert workers_by_need(folder, None) == 4


@pytest.mark.parametrize(("device", "most"), [("", None), ("mfa_serial = arn:aws:iam::1:mfa/ann\n", 0)])
def test_a_role_that_wants_a_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, most: int | None
) -> None:
    """A bucket whose profile has AWS ask for the code of a device is read by one process: each one would ask for it."""
    config = tmp_path / "config"
    config.write_text(
        "[profile role]\nrole_arn = arn:aws:iam::1:role/reader\nsource_profile = keys\nregion = eu-west-1\n"
        f"{device}[profile keys]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "role")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    source = ObjectStoreSource(url="s3://bucket")
    assert source.most_workers() == most
    assert count_workers(source, 3) == (3 if most is None else 0)
