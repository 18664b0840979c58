"""Jobs from the command line: the printed text and JSON, and the exit codes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from prefect.blocks.system import Secret
from pydantic import SecretStr

from prefect_collect import FileSource
from prefect_collect.statuses import LifecycleStatus
from tests.integration.cli.conftest import Command, Done, run_here, until, used_quietly
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
def partial(prefect_server: PrefectServer, broken: Path, store: Path) -> dict[str, Any]:
    """A collection that is Partially completed, as ``collect --json`` printed it."""
    with used_quietly(prefect_server):
        done = run_here("collect", "file-source/broken", "--store", store, "--name", "half", "--hash", "md5", "--json")
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
    """A collection without errors prints that, its counts, what was estimated, and the exact next commands."""
    root = files(a=b"aa", b=b"bb")
    expected = here("estimate", root, "--store", tmp_path / "st ore", "--exclude", "b")
    assert expected.code == 0
    assert "  items    1\n  size     2 bytes\n  time     not known" in expected.out
    done = here("collect", root, "--store", tmp_path / "st ore", "--exclude", "b")
    assert (done.code, done.err) == (0, "")
    assert "Successfully completed" in done.out
    assert "1 found = 1 succeeded + 0 failed + 0 skipped + 0 not attempted" in done.out
    assert "  estimate 1 item, 2 bytes (made " in done.out
    [folder] = [one for one in (tmp_path / "st ore").iterdir() if one.name != "estimates"]
    assert f"prefect-collect export {folder.name} --to DEST --store '{tmp_path / 'st ore'}'" in done.out


def test_show_with_and_without_a_server(
    command: Command, here: Callable[..., Done], partial: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    """`show` takes the beginning of an id, prints the same with and without Prefect, and names the status's source.

    The first one is the installed program in a process of its own.
    """
    prefix = partial["job_id"][:8]
    asked = command("show", prefix, "--store", store, "--json")
    alone = command.without_server(tmp_path)("show", prefix, "--store", store, "--json")
    assert (asked.code, alone.code) == (0, 0)
    assert (asked.json["status_from"], alone.json["status_from"]) == ("prefect", "staging store")
    same = JOB_FIELDS | {"attempts", "codes", "definition", "message"}
    assert {name: asked.json[name] for name in same} == {name: alone.json[name] for name in same}
    assert asked.json["definition"].startswith("The job finished, but some data failed to collect.")
    assert [attempt["attempt"] for attempt in asked.json["attempts"]] == [1]
    assert f"prefect-collect retry {partial['job_id']}" in here("show", prefix, "--store", store).out


def test_a_job_that_only_prefect_leads_to(here: Callable[..., Done], partial: dict[str, Any]) -> None:
    """Without --store, a job of another store is found through Prefect, also by the beginning of its id."""
    for text in (partial["job_id"], partial["job_id"][:10]):
        assert here("show", text, "--json").json["succeeded"] == 29
    assert here("preview", partial["job_id"], "--limit", "2", "--json").json["items"][0]["path"] == "00.txt"


def test_jobs_with_and_without_a_server(
    command: Command, here: Callable[..., Done], partial: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    """`jobs --json` is a list of jobs; the table has a line for each job."""
    listed = here("jobs", "--store", store, "--json")
    assert listed.code == 0
    [mine] = [job for job in listed.json if job["job_id"] == partial["job_id"]]
    assert {name: mine[name] for name in JOB_FIELDS} == {name: partial[name] for name in JOB_FIELDS}
    alone = command.without_server(tmp_path)
    assert partial["job_id"] in [job["job_id"] for job in alone("jobs", "--store", store, "--json").json]
    lines = alone("jobs", "--store", store).out.splitlines()
    assert lines[0].startswith("job ")
    assert [line for line in lines if line.startswith(partial["job_id"]) and "Partially completed" in line]


_PROGRAM = """
import json, sys
from contextlib import redirect_stdout
from io import StringIO
from prefect_collect.cli import run

said = []
for command in json.loads(sys.argv[1]):
    with redirect_stdout(StringIO()) as out:
        assert run(command) == 0
    said.append(json.loads(out.getvalue()))
print(json.dumps([said, sorted({"prefect", "httpx", "pandas"} & {*sys.modules})]))
"""


def test_lists_and_looks_do_not_import_prefect(
    here: Callable[..., Done], used_server: PrefectServer, partial: dict[str, Any], tmp_path: Path
) -> None:
    """Over a server that the environment simply names, `jobs`, `show` and `preview` say the same without Prefect."""
    commands = [["jobs", "--json"], ["show", partial["job_id"], "--json"], ["preview", partial["job_id"], "--json"]]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**kept, "PREFECT_API_URL": used_server.url, "PREFECT_HOME": os.environ["PREFECT_HOME"]}
    argv = [sys.executable, "-c", _PROGRAM, json.dumps(commands)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert json.loads(done.stdout) == [[here(*command).json for command in commands], []]


def test_preview_and_report_need_no_server(
    command: Command, here: Callable[..., Done], partial: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    """`preview` and `report` read the staging store only; the report comes as text, JSON, CSV and Parquet."""
    without = command.without_server(tmp_path / "home")
    job = ("--store", str(store))
    preview = without("preview", partial["job_id"], "--limit", "3", "--json", *job)
    assert [item["path"] for item in preview.json["items"]] == ["00.txt", "01.txt", "02.txt"]
    assert len(preview.json["items"][0]["sha256"]) == 64
    assert "00.txt" in here("preview", partial["job_id"], *job).out
    report = without("report", partial["job_id"], "--json", *job)
    assert report.json["codes"] == {"not_found": 1}
    assert [row["path"] for row in report.json["errors"]] == ["lost.txt"]
    assert "Restore it at the source" in here("report", partial["job_id"], *job).out
    printed = here("report", partial["job_id"], "--csv", *job)
    [row] = csv.DictReader(io.StringIO(printed.out.removeprefix("\ufeff")))
    assert (row["error_code"], row["path"]) == ("not_found", "lost.txt")
    for name in ("mine.csv", "mine.parquet"):
        assert here("report", partial["job_id"], "--to", tmp_path / name, *job).code == 0
    assert (tmp_path / "mine.csv").read_text("utf-8-sig").count("lost.txt") >= 1
    assert pq.read_table(tmp_path / "mine.parquet")["path"].to_pylist() == ["lost.txt"]
    assert not (tmp_path / "home" / "prefect.db").exists()


def test_export_verify_and_download(
    command: Command, here: Callable[..., Done], partial: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    """A partial collection's items can be exported, verified and downloaded; a second download overwrites nothing."""
    job = ("--store", str(store))
    done = here("export", partial["job_id"], "--to", tmp_path / "out", "--json", *job)
    assert (done.code, done.err) == (0, "")
    assert set(done.json) >= JOB_FIELDS | {"package"}
    assert (done.json["kind"], done.json["succeeded"]) == ("export", 29)
    package = Path(done.json["package"])
    assert package.parent == tmp_path / "out"
    verified = here("verify", package, "--json")
    assert (verified.code, verified.json["valid"], verified.json["items"]) == (0, True, 29)
    again = here("export", partial["job_id"], "--to", tmp_path / "out", *job)
    assert (again.code, again.out) == (2, "")
    assert str(package) in again.error
    taken = command.without_server(tmp_path)("download", done.json["job_id"], "--to", tmp_path / "home", "--json", *job)
    assert Path(taken.json["path"]).read_bytes() == package.read_bytes()
    Secret(value=SecretStr("correct horse battery")).save("handover", overwrite=True)
    handed = here("download", done.json["job_id"], "--to", tmp_path / "o", "--passphrase-from", "handover", *job)
    encrypted = Path(handed.out.strip())
    assert encrypted.name == f"{package.stem}.aes.zip"
    assert here("verify", encrypted, "--passphrase-from", "secret/handover").out.startswith("Valid: 29 items")
    assert "There is no terminal to ask" in here("verify", encrypted).error
    assert "no such Secret block" in here("verify", encrypted, "--passphrase-from", "none").error
    how = ["--format", "directory", "--sha512", "--portable-names", "--json", "--deduplicate", "global"]
    how += ["--duplicates-of", done.json["job_id"][:8]]
    unpacked = here("export", partial["job_id"], "--to", tmp_path / "bag", *how, *job)
    assert (unpacked.code, unpacked.json["succeeded"], unpacked.json["skipped"]) == (0, 0, 29)
    options = json.loads((store / unpacked.json["job_id"] / "job.json").read_bytes())["options"]
    assert (options["sha512"], options["portable_names"]) == (True, True)
    assert (options["deduplicate"], options["duplicates_of"]) == ("global", [done.json["job_id"]])
    [bag] = (tmp_path / "bag").iterdir()
    assert all((bag / f"manifest-{name}.txt").is_file() for name in ("sha512", "md5"))
    assert here("verify", bag).code == 0


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
    before = here("jobs", "--json").json
    done = here("collect", files(a=b"a"), "--store", tmp_path / "file")
    assert (done.code, done.out) == (2, "")
    assert str(tmp_path / "file") in done.error
    assert [job["job_id"] for job in here("jobs", "--json").json] == [job["job_id"] for job in before]


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
    done = here("jobs", "--limit", "3")
    assert done.code == 0, done.err
    assert all(job in done.out for job in (remote, garbage, fine))
    assert [line.split()[5].rstrip(":") for line in done.err.splitlines()] == [garbage, remote]
    assert here("jobs", "--limit", "3", "--store", tmp_path / "store").code == 0
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
