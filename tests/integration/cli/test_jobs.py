"""Jobs from the command line: the printed text and JSON, and the exit codes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from prefect_collect import FileSource
from tests.integration.cli.conftest import Command, Done, until
from tests.integration.cli.slow_sources import ITEMS, SlowBucket, keyed
from tests.integration.prefect_server import PrefectServer
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration

JOB_FIELDS = {
    "job_id", "kind", "name", "source", "status", "task_status", "next_steps", "found", "succeeded", "failed",
    "skipped", "not_attempted", "bytes", "success_rate", "error_report",
}  # fmt: skip


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, prefect_server: PrefectServer) -> Path:
    """A saved source, file-source/broken, of 30 files, of which one is a link that leads nowhere yet."""
    root = tmp_path_factory.mktemp("broken")
    for number in range(29):
        (root / f"{number:02d}.txt").write_text(f"number {number}")
    (root / "lost.txt").symlink_to("later.bin")
    with prefect_server.used():
        FileSource(name="broken", root=root, follow_symlinks=True).save("broken", overwrite=True)
    return root


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One staging store for the module."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def partial(command: Command, broken: Path, store: Path) -> dict[str, Any]:
    """A collection that is Partially completed, as ``collect --json`` printed it."""
    done = command("collect", "file-source/broken", "--store", store, "--name", "half", "--json")
    assert done.code == 3, done.err
    assert done.err == ""
    job: dict[str, Any] = done.json
    return job


def test_a_partial_collection_in_json(partial: dict[str, Any], store: Path) -> None:
    """One object with the documented fields, whose counts add up; exit code 3; the report is at the named place."""
    assert set(partial) >= JOB_FIELDS
    assert (partial["kind"], partial["name"], partial["source"]) == ("collection", "half", "broken")
    assert (partial["status"], partial["task_status"]) == ("Partially completed", "COMPLETED_WITH_ERRORS")
    assert partial["next_steps"] == ["Preview", "Export", "Delete", "Retry"]
    assert (partial["found"], partial["succeeded"], partial["failed"]) == (30, 29, 1)
    assert (partial["skipped"], partial["not_attempted"]) == (0, 0)
    assert partial["success_rate"] == pytest.approx(100 * 29 / 30)
    assert partial["error_report"].startswith(str(store))
    assert pq.read_table(partial["error_report"])["error_code"].to_pylist() == ["not_found"]


def test_a_whole_collection_in_words(here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path) -> None:
    """A collection without errors prints that, its counts and the exact next commands, and ends with 0."""
    root = files(a=b"aa", b=b"bb")
    done = here("collect", root, "--store", tmp_path / "st ore", "--exclude", "b")
    assert (done.code, done.err) == (0, "")
    assert "Successfully completed" in done.out
    assert "1 found = 1 succeeded + 0 failed + 0 skipped + 0 not attempted" in done.out
    [folder] = (tmp_path / "st ore").iterdir()
    assert f"prefect-collect export {folder.name} --to DEST --store '{tmp_path / 'st ore'}'" in done.out


def test_show_with_and_without_a_server(command: Command, partial: dict[str, Any], store: Path, tmp_path: Path) -> None:
    """`show` takes the beginning of an id, prints the same with and without Prefect, and names the status's source."""
    prefix = partial["job_id"][:8]
    asked = command("show", prefix, "--store", store, "--json")
    alone = command.without_server(tmp_path)("show", prefix, "--store", store, "--json")
    assert (asked.code, alone.code) == (0, 0)
    assert (asked.json["status_from"], alone.json["status_from"]) == ("prefect", "staging store")
    same = JOB_FIELDS | {"attempts", "codes", "definition", "message"}
    assert {name: asked.json[name] for name in same} == {name: alone.json[name] for name in same}
    assert asked.json["definition"].startswith("The job finished, but some data failed to collect.")
    assert [attempt["attempt"] for attempt in asked.json["attempts"]] == [1]
    shown = command("show", prefix, "--store", store)
    assert f"prefect-collect retry {partial['job_id']}" in shown.out


def test_a_job_that_only_prefect_leads_to(command: Command, partial: dict[str, Any]) -> None:
    """Without --store, a job of another store is found through Prefect, also by the beginning of its id."""
    for text in (partial["job_id"], partial["job_id"][:10]):
        assert command("show", text, "--json").json["succeeded"] == 29
    assert command("preview", partial["job_id"], "--limit", "2", "--json").json["items"][0]["path"] == "00.txt"


def test_jobs_with_and_without_a_server(command: Command, partial: dict[str, Any], store: Path, tmp_path: Path) -> None:
    """`jobs --json` is a list of jobs; the table has a line for each job."""
    listed = command("jobs", "--store", store, "--json")
    assert listed.code == 0
    [mine] = [job for job in listed.json if job["job_id"] == partial["job_id"]]
    assert {name: mine[name] for name in JOB_FIELDS} == {name: partial[name] for name in JOB_FIELDS}
    alone = command.without_server(tmp_path)
    assert partial["job_id"] in [job["job_id"] for job in alone("jobs", "--store", store, "--json").json]
    lines = alone("jobs", "--store", store).out.splitlines()
    assert lines[0].startswith("job ")
    assert [line for line in lines if line.startswith(partial["job_id"]) and "Partially completed" in line]


def test_preview_and_report_need_no_server(
    command: Command, partial: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    """`preview` and `report` read the staging store only; the report comes as text, JSON, CSV and Parquet."""
    alone = command.without_server(tmp_path / "home")
    job = ("--store", str(store))
    preview = alone("preview", partial["job_id"], "--limit", "3", "--json", *job)
    assert [item["path"] for item in preview.json["items"]] == ["00.txt", "01.txt", "02.txt"]
    assert len(preview.json["items"][0]["sha256"]) == 64
    assert "00.txt" in alone("preview", partial["job_id"], *job).out
    report = alone("report", partial["job_id"], "--json", *job)
    assert report.json["codes"] == {"not_found": 1}
    assert [row["path"] for row in report.json["errors"]] == ["lost.txt"]
    assert "Restore it at the source" in alone("report", partial["job_id"], *job).out
    printed = alone("report", partial["job_id"], "--csv", *job)
    [row] = csv.DictReader(io.StringIO(printed.out.removeprefix("\ufeff")))
    assert (row["error_code"], row["path"]) == ("not_found", "lost.txt")
    for name in ("mine.csv", "mine.parquet"):
        assert alone("report", partial["job_id"], "--to", tmp_path / name, *job).code == 0
    assert (tmp_path / "mine.csv").read_text("utf-8-sig").count("lost.txt") >= 1
    assert pq.read_table(tmp_path / "mine.parquet")["path"].to_pylist() == ["lost.txt"]
    assert not (tmp_path / "home" / "prefect.db").exists()


def test_export_verify_and_download(command: Command, partial: dict[str, Any], store: Path, tmp_path: Path) -> None:
    """A partial collection's items can be exported, verified and downloaded; a second download overwrites nothing."""
    job = ("--store", str(store))
    done = command("export", partial["job_id"], "--to", tmp_path / "out", "--json", *job)
    assert (done.code, done.err) == (0, "")
    assert set(done.json) >= JOB_FIELDS | {"package"}
    assert (done.json["kind"], done.json["succeeded"]) == ("export", 29)
    package = Path(done.json["package"])
    assert package.parent == tmp_path / "out"
    verified = command("verify", package, "--json")
    assert (verified.code, verified.json["valid"], verified.json["items"]) == (0, True, 29)
    again = command("export", partial["job_id"], "--to", tmp_path / "out", *job)
    assert (again.code, again.out) == (2, "")
    assert str(package) in again.error
    taken = command.without_server(tmp_path)("download", done.json["job_id"], "--to", tmp_path / "home", "--json", *job)
    assert Path(taken.json["path"]).read_bytes() == package.read_bytes()
    how = ("--format", "directory", "--sha512", "--portable-names", "--json")
    unpacked = command("export", partial["job_id"], "--to", tmp_path / "bag", *how, *job)
    assert unpacked.code == 0
    options = json.loads((store / unpacked.json["job_id"] / "job.json").read_bytes())["options"]
    assert (options["sha512"], options["portable_names"]) == (True, True)
    [bag] = (tmp_path / "bag").iterdir()
    assert (bag / "manifest-sha512.txt").is_file()
    assert command("verify", bag).code == 0


def test_retry_works_on_what_failed_only(
    here: Callable[..., Done], partial: dict[str, Any], broken: Path, store: Path, tmp_path: Path
) -> None:
    """After the repair, `retry --report` retries the report's row alone; then there is nothing more to retry."""
    job = ("--store", str(store))
    report = tmp_path / "report.csv"
    assert here("report", partial["job_id"], "--to", report, *job).code == 0
    (broken / "later.bin").write_bytes(b"found again")
    done = here("retry", partial["job_id"], "--report", report, "--json", *job)
    assert (done.code, done.err) == (0, "")
    assert (done.json["status"], done.json["attempt"]) == ("Successfully completed", 2)
    assert (done.json["found"], done.json["succeeded"]) == (30, 30)
    shown = here("show", partial["job_id"], "--json", *job).json
    assert [attempt["this_attempt"]["found"] for attempt in shown["attempts"]] == [30, 1]
    for step in ("retry", "start"):
        refused = here(step, partial["job_id"], *job)
        assert refused.code == 2
        assert "does not offer" in refused.error


def test_a_failed_collection(here: Callable[..., Done], tmp_path: Path) -> None:
    """A collection that fails ends with 4, prints the reason in one line, and still prints its JSON."""
    (tmp_path / "empty").mkdir()
    arguments = ("collect", tmp_path / "empty", "--store", tmp_path / "store", "--on-empty", "fail")
    done = here(*arguments, "--json")
    assert (done.code, done.json["status"]) == (4, "Failed")
    assert "Nothing at the source matched, so nothing was collected." in done.error
    once = here(*arguments)
    assert "Nothing at the source matched" in once.error
    assert "Nothing at the source matched" not in once.out
    fine = here(*arguments[:-2])
    assert (fine.code, fine.err) == (0, "")
    assert "warning" in fine.out


def test_a_bucket_that_is_not_there(command: Command, seaweedfs: S3Server, tmp_path: Path) -> None:
    """A missing bucket makes the job Failed, and one line names the bucket."""
    keyed = command.with_environment(**{**seaweedfs.environment(), "AWS_ENDPOINT_URL": ""})
    done = keyed(
        "collect", "s3://no-such-bucket/x", "--endpoint-url", seaweedfs.url, "--store", tmp_path / "store", "--json"
    )
    assert (done.code, done.json["status"]) == (4, "Failed")
    assert "no-such-bucket" in done.error


def test_a_store_that_cannot_be_written(here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path) -> None:
    """A staging store that is no folder is wrong use: one line names it, and there is no job."""
    (tmp_path / "file").write_bytes(b"")
    before = here("jobs", "--json").json
    done = here("collect", files(a=b"a"), "--store", tmp_path / "file")
    assert (done.code, done.out) == (2, "")
    assert str(tmp_path / "file") in done.error
    assert [job["job_id"] for job in here("jobs", "--json").json] == [job["job_id"] for job in before]


def test_jobs_whose_stores_do_not_answer(
    command: Command, files: Callable[..., Path], moto: S3Server, tmp_path: Path
) -> None:
    """A job whose bucket needs missing keys, or whose job.json is garbage, has a line and hides no other job."""
    keyed = command.with_environment(**moto.environment())
    root = files(a=b"a")
    remote = keyed("collect", root, "--store", f"s3://{moto.new_bucket()}/staging", "--json").json["job_id"]
    garbage = command("collect", root, "--store", tmp_path / "store", "--json").json["job_id"]
    (tmp_path / "store" / garbage / "job.json").write_text("{garbage")
    fine = command("collect", root, "--store", tmp_path / "store", "--json").json["job_id"]
    kept = {name: value for name, value in command.environment.items() if not name.startswith("AWS_")}
    keyless = Command({**kept, "AWS_EC2_METADATA_DISABLED": "true"}, command.folder)
    done = keyless("jobs", "--limit", "3")
    assert done.code == 0, done.err
    assert all(job in done.out for job in (remote, garbage, fine))
    assert [line.split()[5].rstrip(":") for line in done.err.splitlines()] == [garbage, remote]
    assert keyless("jobs", "--limit", "3", "--store", tmp_path / "store").code == 0
    for job in (remote, garbage):
        shown = keyless("show", job)
        assert shown.code == 0, shown.err
        assert "Successfully completed" in shown.out
        assert len(shown.err.splitlines()) == 1
        assert "no more is known of the job" in shown.err


def test_a_job_that_never_had_a_folder(
    here: Callable[..., Done], files: Callable[..., Path], moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`show` and `report` show a job refused before its folder was made as Failed, with its state's message."""
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
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
    command: Command, files: Callable[..., Path], rclone: S3Server, tmp_path: Path
) -> None:
    """Such a store is refused with the option that vouches for it; a job that was given the option once keeps it."""
    keyed = command.with_environment(**rclone.environment())
    bucket = f"s3://{rclone.new_bucket()}"
    store = ("--store", f"{bucket}/staging")
    root = files(a=b"a")
    (root / "lost").symlink_to("nowhere")
    refused = keyed("collect", root, "--follow-symlinks", *store, "--json")
    assert refused.code == 4
    assert "--single-writer" in refused.error
    job = refused.json["job_id"]
    again = keyed("retry", job, *store, "--single-writer", "--json")
    assert again.code == 3, again.err
    remembered = keyed("retry", job, *store, "--json")
    assert (remembered.code, remembered.json["attempt"], remembered.json["succeeded"]) == (3, 2, 1), remembered.err
    exported = keyed("export", job, "--to", f"{bucket}/out", *store, "--single-writer", "--json")
    assert exported.code == 0, exported.err
    taken = keyed("download", exported.json["job_id"], "--to", tmp_path, *store)
    assert taken.code == 0, taken.err
    assert command("verify", taken.out.strip()).code == 0
    whole = keyed("collect", root, *store, "--single-writer", "--json")
    assert (whole.code, whole.json["succeeded"], whole.json["skipped"]) == (0, 1, 1)


def test_links_and_public_buckets(command: Command, moto: S3Server, tmp_path: Path) -> None:
    """`--follow-symlinks` collects the targets of links; `--anonymous` and `--region` read a bucket without keys."""
    root = tmp_path / "links"
    (root / "real").mkdir(parents=True)
    (root / "real" / "a").write_bytes(b"a")
    (root / "link").symlink_to("real")
    store = ("--store", tmp_path / "store", "--json")
    followed = command("collect", root, "--follow-symlinks", *store)
    assert (followed.code, followed.json["succeeded"], followed.json["skipped"]) == (0, 2, 0)
    bucket = moto.new_bucket()
    moto.client().put_object(Bucket=bucket, Key="a", Body=b"a", ACL="public-read")
    kept = {name: value for name, value in command.environment.items() if not name.startswith("AWS_")}
    public = Command({**kept, "AWS_EC2_METADATA_DISABLED": "true"}, command.folder)
    options = ("--endpoint-url", moto.url, "--region", "us-east-1")
    assert public("collect", f"s3://{bucket}", *options, *store).code == 4
    read = public("collect", f"s3://{bucket}", "--anonymous", *options, *store)
    assert read.code == 0, read.err
    assert read.json["succeeded"] == 1


def test_a_source_that_is_suspended(
    here: Callable[..., Done], files: Callable[..., Path], prefect_server: PrefectServer, tmp_path: Path
) -> None:
    """Nothing is started on a suspended source: Canceled, with the reason in one line."""
    with prefect_server.used():
        FileSource(name="resting", root=files(a=b"a"), lifecycle="SUSPENDED").save("resting", overwrite=True)
    done = here("collect", "resting", "--store", tmp_path / "store", "--json")
    assert (done.code, done.json["status"], done.json["task_status"]) == (5, "Canceled", "SKIPPED")
    assert "SUSPENDED" in done.error


def test_a_server_that_does_not_answer(command: Command, files: Callable[..., Path], tmp_path: Path) -> None:
    """For a configured server that is down, one line names its address."""
    down = command.with_environment(PREFECT_API_URL="http://127.0.0.1:9/api")
    done = down("collect", files(a=b"a"), "--store", tmp_path / "store")
    assert done.code == 4
    assert "PREFECT_API_URL=http://127.0.0.1:9/api" in done.error


def test_ctrl_c_and_start(command: Command, slow: SlowBucket, moto: S3Server, tmp_path: Path) -> None:
    """Ctrl-C makes the job Canceled, with exit code 5; `start` collects the missing items."""
    ours, store = keyed(command, moto), ("--store", tmp_path / "store", "--json")
    process = ours.start("collect", slow.url, *slow.options, *store)
    slow.until_held()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 5, err
    job = json.loads(out)
    assert job["status"] == "Canceled"
    assert job["next_steps"] == ["Start", "Delete"]
    slow.release()
    done = ours("start", job["job_id"], *store)
    assert done.code == 0, done.err
    assert (done.json["status"], done.json["found"], done.json["attempt"]) == ("Successfully completed", ITEMS, 2)


def test_ctrl_c_many_times(command: Command, slow: SlowBucket, moto: S3Server, tmp_path: Path) -> None:
    """Pressing Ctrl-C again and again gives the same orderly end as pressing it once, with one message."""
    process = keyed(command, moto).start("collect", slow.url, *slow.options, "--store", tmp_path / "store", "--json")
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
