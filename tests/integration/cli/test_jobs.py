"""Jobs on the command line, from a collection to its export and retry, with a server and without."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.states import Failed
from pydantic import SecretStr

from prefect_collect import FileSource, collect
from tests.integration.cli.conftest import Command, Done, run_here, used_quietly
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration
JOB_FIELDS = {
    "job_id", "kind", "name", "source", "status", "task_status", "next_steps", "found", "succeeded", "failed",
    "skipped", "not_attempted", "elsewhere", "bytes", "success_rate", "error_report",
}  # fmt: skip


def broken_tree(root: Path) -> Path:
    """Put 30 files into the folder, of which one is a link that leads nowhere yet."""
    for number in range(29):
        (root / f"{number:02d}.txt").write_text(f"number {number}")
    (root / "lost.txt").symlink_to("later.bin")
    return root


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, prefect_server: PrefectServer) -> Path:
    """A saved source, file-source/broken, of 30 files, of which one is a link that leads nowhere yet."""
    root = broken_tree(tmp_path_factory.mktemp("broken"))
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
    """Over a server that the environment simply names, `jobs`, `show` and `preview` say the same without Prefect.

    The list is of one job: a newer one of another status has a store that only a block of Prefect's tells, and is not
    looked at.
    """
    newest = ["jobs", "--kind", "collection", "--status", "Partially completed", "--limit", "1", "--json"]
    commands = [newest, ["show", partial["job_id"], "--json"], ["preview", partial["job_id"], "--json"]]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**kept, "PREFECT_API_URL": used_server.url, "PREFECT_HOME": os.environ["PREFECT_HOME"]}
    argv = [sys.executable, "-c", _PROGRAM, json.dumps(commands)]
    with get_client(sync_client=True) as client:
        parameters = {"store": {"$ref": {"block_document_id": str(uuid4())}}}
        newer = client.create_flow_run(collect, parameters=parameters, state=Failed())
        try:
            done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment)
            assert json.loads(done.stdout) == [[here(*command).json for command in commands], []]
        finally:
            client.delete_flow_run(newer.id)


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


def test_retry_works_on_what_failed_only(here: Callable[..., Done], tmp_path: Path) -> None:
    """After the repair, `retry --report` retries the report's row alone; then there is nothing more to retry."""
    (tmp_path / "broken").mkdir()
    broken = broken_tree(tmp_path / "broken")
    job = ("--store", str(tmp_path / "store"))
    partial = here("collect", broken, "--follow-symlinks", "--json", *job).json
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
