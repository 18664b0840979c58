"""The output of commands on real stores and folders that are full or read-only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Done
from tests.integration.faults import FaultProxy
from tests.integration.jobs.test_disks import fill
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration


def id_of(done: Done) -> str:
    """Return the id of the job that a command printed."""
    return next(word for line in done.out.splitlines() for word in line.split() if len(word) == 36 and word[8] == "-")


@pytest.mark.parametrize("leave", [0, 48_000])
def test_a_full_store(
    here: Callable[..., Done], files: Callable[..., Path], full_disk: Path, leave: int, tmp_path: Path
) -> None:
    """A job on a full disk prints its id, status, counts (or why there are none) and next steps; a retry resumes it.

    The disk is full from the start, or once the job has been written there (`jobs.test_disks` fills it at other times).
    """
    root, store = files(**{f"{n}": b"x" * 100 for n in range(20)}), ("--store", full_disk / "store")
    (full_disk / "store").mkdir()
    filler = fill(full_disk, leave)
    done = here("collect", root, *store)
    assert (done.code, "No space is left" in done.err) == (4, True), done
    job = id_of(done)
    assert "Failed" in done.out
    assert f"retry {job}" in done.out
    assert "  items    " in done.out
    [listed] = [one for one in here("jobs", "--json").json if one["job_id"] == job]
    if listed["found"] is None:
        assert listed["unreadable"]
        assert "not all is known of" in here("jobs").err
        assert "not known: " in done.out
    assert here("show", job, *store).code == 0
    filler.unlink()
    again = here("retry", job, *store, "--json")
    assert (again.code, again.json["succeeded"]) == (0, 20), again


def test_a_read_only_store(here: Callable[..., Done], files: Callable[..., Path], read_only_dir: Path) -> None:
    """A read-only file system is named as the reason, whether the folder exists or not, and there is no job."""
    for place in (read_only_dir, read_only_dir / "store"):
        done = here("collect", files(a=b"a"), "--store", place)
        assert (done.code, "The file system is read-only; mount it for writing" in done.error) == (2, True), done


def test_reports_and_packages_find_no_room(
    here: Callable[..., Done], files: Callable[..., Path], full_disk: Path, read_only_dir: Path, tmp_path: Path
) -> None:
    """A report or a package that cannot be written leaves no file; the message says why and what to do."""
    root, store = files(**{f"{n}": bytes([n]) * 50_000 for n in range(4)}), ("--store", tmp_path / "store")
    (root / "link").symlink_to("0")
    job = here("collect", root, *store, "--json").json["job_id"]
    package = here("export", job, "--to", tmp_path / "out", *store, "--json").json["job_id"]
    fill(full_disk, 0)
    for folder, said in ((full_disk, "No space is left"), (read_only_dir, "The file system is read-only")):
        before = sorted(folder.iterdir())
        for name, given in {"report": (job, folder / "report.csv"), "download": (package, folder)}.items():
            done = here(name, given[0], "--to", given[1], *store)
            code = 2 if name == "download" and folder == read_only_dir else 4
            assert (done.code, said in done.error) == (code, True), (name, done)
        assert sorted(folder.iterdir()) == before


def exported(done: Done, said: str) -> str:
    """Assert the message, status, counts and next steps of the export that failed, and return its id."""
    assert (done.code, said in done.error) == (4, True), done
    job = id_of(done)
    assert ("Failed" in done.out, "  items    2 collected = " in done.out, f"retry {job}" in done.out) == (True,) * 3, (
        done
    )
    return job


def test_destinations_without_room(
    here: Callable[..., Done], files: Callable[..., Path], full_disk: Path, read_only_dir: Path, tmp_path: Path
) -> None:
    """An export that finds no room says so with id, counts and next steps, and leaves no item there; a read-only
    destination is refused. Packages of both formats, and other writes: `jobs.test_disks`, `stores`.
    """
    root, store = files(a=b"a" * 90_000, b=b"b" * 90_000), ("--store", tmp_path / "store")
    collection = here("collect", root, *store, "--json").json["job_id"]
    filler, to = fill(full_disk, 60_000), full_disk / "out"
    job = exported(here("export", collection, "--to", to, "--format", "directory", *store), "No space is left")
    assert {path.name for path in to.rglob("*") if path.is_file()} <= {"unfinished.txt"}
    [listed] = [one for one in here("jobs", "--json").json if one["job_id"] == job]
    assert (listed["found"], listed["not_attempted"], listed["unreadable"]) == (2, 2, None)
    assert "disk_full" in here("show", job, *store).out
    filler.unlink()
    assert here("retry", job, *store, "--json").json["succeeded"] == 2
    refused = here("export", collection, "--to", read_only_dir / "out", *store)
    assert (refused.code, refused.out, "is read-only" in refused.error) == (2, "", True), refused


def test_a_bucket_that_is_full(
    here: Callable[..., Done], files: Callable[..., Path], with_keys: S3Server,
    fault_proxy: Callable[[S3Server], FaultProxy], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The same for a bucket as staging store, which is full once the job has begun.

    Other refusals end the same way, with the message of the store's error (`stores.test_s3_faults`), and so do exports
    to a bucket: there as to a folder (`test_destinations_without_room`), as the error is a store's.
    """
    proxy, bucket, said = fault_proxy(with_keys), with_keys.new_bucket(), "The S3 server has no space left"
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    root, store = files(a=b"a", b=b"b"), ("--store", f"s3://{bucket}/store")
    proxy.fail_next(10_000, 507, "XMinioStorageFull", method="PUT|POST", path="/(segments|ledger|reports)/")
    done = here("collect", root, *store)
    assert (done.code, said in done.error) == (4, True), done
    job = id_of(done)
    assert ("Failed" in done.out, "  items    " in done.out, f"retry {job}" in done.out) == (True,) * 3, done
    [listed] = [one for one in here("jobs", "--json").json if one["job_id"] == job]
    assert (listed["found"] is None) == bool(listed["unreadable"]), listed
    assert here("show", job, *store).code == 0
    proxy.clear()
    again = here("retry", job, *store, "--json")
    assert (again.code, again.json["succeeded"]) == (0, 2), again


def test_a_bucket_that_is_gone(here: Callable[..., Done], files: Callable[..., Path], with_keys: S3Server) -> None:
    """Jobs whose bucket was deleted are listed and shown as Prefect knows them, with the reason; `export` says it."""
    bucket = with_keys.new_bucket()
    store = ("--store", f"s3://{bucket}/store")
    job = here("collect", files(a=b"a"), *store, "--json").json["job_id"]
    client = with_keys.client()
    for item in client.list_objects_v2(Bucket=bucket)["Contents"]:
        client.delete_object(Bucket=bucket, Key=item["Key"])
    client.delete_bucket(Bucket=bucket)
    [listed] = [one for one in here("jobs", "--json").json if one["job_id"] == job]
    assert (listed["status"], listed["found"]) == ("Successfully completed", None)
    assert "There is no such bucket" in listed["unreadable"]
    shown = here("show", job)
    assert (shown.code, "Successfully completed" in shown.out) == (0, True), shown
    assert "There is no such bucket" in shown.out + shown.err
    for command in (("export", job, "--to", "out"), ("preview", job)):
        done = here(*command)
        assert (done.code, "There is no such bucket" in done.error) == (4, True), (command, done)
