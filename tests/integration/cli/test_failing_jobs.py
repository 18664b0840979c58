"""Collections on the command line that fail, are refused or interrupted: the reason in a line, and the exit code."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_collect import FileSource
from prefect_collect.statuses import LifecycleStatus
from tests.integration.cli.conftest import Command, Done, until
from tests.integration.cli.slow_sources import ITEMS, SlowBucket, keyed
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server
from tests.integration.shared_server import no_new_jobs

pytestmark = pytest.mark.integration


def test_a_failed_collection(here: Callable[..., Done], tmp_path: Path) -> None:
    """A collection that fails ends with 4, prints the reason in one line, and still prints its JSON."""
    (tmp_path / "empty").mkdir()
    arguments = ("collect", tmp_path / "empty", "--store", tmp_path / "store", "--on-empty", "fail")
    done = here(*arguments, "--json")
    assert (done.code, done.json["status"]) == (4, "Failed")
    assert "There is nothing at the source, so nothing was collected." in done.error
    once = here(*arguments)
    assert "There is nothing at the source" in once.error
    assert "There is nothing at the source" not in once.out
    fine = here(*arguments[:-2])
    assert (fine.code, fine.err) == (0, "")
    assert "warning" in fine.out


def test_a_bucket_that_is_not_there(
    here: Callable[..., Done], seaweedfs: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing bucket makes the job Failed, and one line names the bucket."""
    for name, value in {**seaweedfs.environment(), "AWS_ENDPOINT_URL": ""}.items():
        monkeypatch.setenv(name, value)
    done = here(
        "collect", "s3://no-such-bucket/x", "--endpoint-url", seaweedfs.url, "--store", tmp_path / "store", "--json"
    )
    assert (done.code, done.json["status"]) == (4, "Failed")
    assert "no-such-bucket" in done.error


def test_a_store_that_cannot_be_written(here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path) -> None:
    """A staging store that is no folder is wrong use: one line names it, and there is no job."""
    (tmp_path / "file").write_bytes(b"")
    with no_new_jobs():
        done = here("collect", files(a=b"a"), "--store", tmp_path / "file")
    assert (done.code, done.out) == (2, "")
    assert str(tmp_path / "file") in done.error


def test_jobs_whose_stores_do_not_answer(
    here: Callable[..., Done], files: Callable[..., Path], with_keys: S3Server, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A job whose bucket needs missing keys, or whose job.json is garbage, has a line and hides no other job."""
    root = files(a=b"a")
    remote = here("collect", root, "--store", f"s3://{with_keys.new_bucket()}/staging", "--json").json["job_id"]
    garbage = here("collect", root, "--store", tmp_path / "store", "--json").json["job_id"]
    (tmp_path / "store" / garbage / "job.json").write_text("{garbage")
    fine = here("collect", root, "--store", tmp_path / "store", "--json").json["job_id"]
    without_keys(monkeypatch)
    newest = ("jobs", "--status", "Successfully completed", "--limit", "3")
    done = here(*newest)
    assert done.code == 0, done.err
    assert all(job in done.out for job in (remote, garbage, fine))
    assert [line.split()[5].rstrip(":") for line in done.err.splitlines()] == [garbage, remote]
    assert here(*newest, "--store", tmp_path / "store").code == 0
    for job in (remote, garbage):
        shown = here("show", job)
        assert shown.code == 0, shown.err
        assert "Successfully completed" in shown.out
        assert len(shown.err.splitlines()) == 1
        assert "no more is known of the job" in shown.err


def without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands in this process find neither keys nor the address of an S3 server."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_a_job_that_never_had_a_folder(
    here: Callable[..., Done], files: Callable[..., Path], with_keys: S3Server
) -> None:
    """`show` and `report` show a job refused before its folder was made as Failed, with its state's message."""
    store = ("--store", "s3://no-such-bucket/staging")
    done = here("collect", files(a=b"a"), *store, "--json")
    assert done.out, done.err
    assert (done.code, done.json["status"], done.json["found"]) == (4, "Failed", None)
    assert "no-such-bucket" in done.error
    job = done.json["job_id"]
    for options in (store, ()):
        for text in (job, job[:20]):
            shown = here("show", text, "--json", *options)
            assert (shown.code, shown.json["status"], shown.json["message"]) == (0, "Failed", done.json["message"])
            asked = here("report", text, *options)
            assert (asked.code, asked.out) == (2, "")
            assert asked.error.startswith("The collection has no report. It is Failed: ")
            assert done.json["message"] in asked.error
    assert done.json["message"] in here("show", job, *store).out
    assert "does not offer 'Export'" in here("export", job, "--to", "out", *store).error
    assert "does not offer 'Preview'" in here("preview", job, *store).error
    assert job in here("jobs", "--status", "failed", "--kind", "collection").out


def test_a_server_without_conditional_creates(
    here: Callable[..., Done], files: Callable[..., Path], rclone: S3Server, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Such a store is refused with the option that vouches for it; a job that was given the option once keeps it."""
    for name, value in rclone.environment().items():
        monkeypatch.setenv(name, value)
    bucket = f"s3://{rclone.new_bucket()}"
    store = ("--store", f"{bucket}/staging")
    root = files(a=b"a")
    (root / "lost").symlink_to("nowhere")
    refused = here("collect", root, "--follow-symlinks", *store, "--json")
    assert refused.code == 4
    assert "--single-writer" in refused.error
    job = refused.json["job_id"]
    again = here("retry", job, *store, "--single-writer", "--json")
    assert again.code == 3, again.err
    remembered = here("retry", job, *store, "--json")
    assert (remembered.code, remembered.json["attempt"], remembered.json["succeeded"]) == (3, 2, 1), remembered.err
    exported = here("export", job, "--to", f"{bucket}/out", *store, "--single-writer", "--json")
    assert exported.code == 0, exported.err
    taken = here("download", exported.json["job_id"], "--to", tmp_path, *store)
    assert taken.code == 0, taken.err
    assert here("verify", taken.out.strip()).code == 0
    whole = here("collect", root, *store, "--single-writer", "--json")
    assert (whole.code, whole.json["succeeded"], whole.json["skipped"]) == (0, 1, 1)


def test_a_public_bucket(
    here: Callable[..., Done], moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--anonymous` and `--region` read a bucket without keys."""
    store = ("--store", tmp_path / "store", "--json")
    bucket = moto.new_bucket()
    moto.client().put_object(Bucket=bucket, Key="a", Body=b"a", ACL="public-read")
    without_keys(monkeypatch)
    options = ("--endpoint-url", moto.url, "--region", "us-east-1")
    assert here("collect", f"s3://{bucket}", *options, *store).code == 4
    read = here("collect", f"s3://{bucket}", "--anonymous", *options, *store)
    assert read.code == 0, read.err
    assert read.json["succeeded"] == 1


def test_a_source_that_is_suspended(
    here: Callable[..., Done], files: Callable[..., Path], prefect_server: PrefectServer, tmp_path: Path
) -> None:
    """Nothing is started on a suspended source: Canceled, with the reason in one line."""
    with prefect_server.used():
        FileSource(name="resting", root=files(a=b"a"), lifecycle=LifecycleStatus.SUSPENDED).save(
            "resting", overwrite=True
        )
    done = here("collect", "resting", "--store", tmp_path / "store", "--json")
    assert (done.code, done.json["status"], done.json["task_status"]) == (5, "Canceled", "SKIPPED")
    assert "SUSPENDED" in done.error


def test_a_server_that_does_not_answer(command: Command, files: Callable[..., Path], tmp_path: Path) -> None:
    """For a configured server that is down, one line names its address."""
    down = command.with_environment(PREFECT_API_URL="http://127.0.0.1:9/api")
    done = down("collect", files(a=b"a"), "--store", tmp_path / "store")
    assert done.code == 4
    assert "PREFECT_API_URL=http://127.0.0.1:9/api" in done.error


def test_ctrl_c_many_times_and_start(
    command: Command, here: Callable[..., Done], slow: SlowBucket, with_keys: S3Server, tmp_path: Path
) -> None:
    """Ctrl-C makes the job Canceled, with exit code 5; `start` collects the missing items.

    Pressing it again and again gives the same orderly end as pressing it once (`test_bodies_without_end`), with one
    message.
    """
    store = ("--store", tmp_path / "store", "--json")
    process = keyed(command, with_keys).start("collect", slow.url, *slow.options, *store)
    slow.until_held()

    def interrupted() -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        return process.poll() is not None

    until(interrupted)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 5, err
    assert err.count("Canceling") == 1
    job = json.loads(out)
    assert (job["status"], job["next_steps"]) == ("Canceled", ["Start", "Delete"])
    assert job["found"] == ITEMS
    slow.release()
    done = here("start", job["job_id"], *store)
    assert done.code == 0, done.err
    assert (done.json["status"], done.json["found"], done.json["attempt"]) == ("Successfully completed", ITEMS, 2)
