"""The API answers as its OpenAPI document says, whatever it is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from prefect_collect import FileSource, collect, jobs
from prefect_collect.console.access import Grant
from prefect_collect.console.roles import Role
from prefect_collect.console.server import ConsoleOptions, running_console
from prefect_collect.statuses import JobStatus
from tests.integration.jobs.every_status import until
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration

ANNA = Grant("anna", Role.OPERATE, "anna-token-of-20-characters")
BEARER = {"Authorization": f"Bearer {ANNA.token}"}
PHASES = os.environ.get("API_PHASES", "examples,fuzzing")
"""`API_PHASES=examples,coverage,fuzzing` asks for each boundary of each field too, and takes three times as long."""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.fixture
def console(prefect_server: PrefectServer) -> Iterator[str]:
    """The address of a console over the server."""
    with prefect_server.used(), running_console(ConsoleOptions(port=0, grants=(ANNA,)), print) as url:
        yield url


def test_a_job_as_json(console: str, tmp_path: Path) -> None:
    """The list has the job, its details have its counts, errors and custody log, and a step that its status offers is
    taken: Delete. One that it does not offer, and one that no process would run, are refused in words.
    """
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "good").write_text("good")
    (tmp_path / "root" / "gone").symlink_to("nowhere")
    source = FileSource(root=tmp_path / "root", follow_symlinks=True)
    state = collect(source=source, store=tmp_path / "store", name="as json", return_state=True)
    job = jobs.get(str(state.state_details.flow_run_id))
    with httpx.Client(base_url=console, headers=BEARER, timeout=60) as api:
        until(lambda: api.get("/api/jobs", params={"text": job.id}).json()["jobs"], "the job is listed")
        [listed] = api.get("/api/jobs", params={"text": job.id}).json()["jobs"]
        assert (listed["status"], listed["items"], listed["success_rate"], listed["next_steps"]) == (
            "Partially completed", 1, 50.0, ["Preview", "Export", "Delete", "Retry"],
        )  # fmt: skip
        details = api.get(f"/api/jobs/{job.id}").json()
        assert details["job"] == json.loads(json.dumps(job.to_json()))
        assert [(one["code"], one["items"]) for one in details["errors"]] == [("not_found", 1)]
        assert details["custody"][0]["action"] == "ended"
        refused = api.post(f"/api/jobs/{job.id}/cancel")
        assert (refused.status_code, "Retry" in refused.json()["detail"]) == (409, True)
        refused = api.post(f"/api/jobs/{job.id}/retry")
        assert (refused.status_code, f"`prefect-collect retry {job.id}`" in refused.json()["detail"]) == (409, True)
        refused = api.post(f"/api/jobs/{job.id}/errors/retry", json={"attempt": 1, "rows": [0]})
        assert (refused.status_code, f"`prefect-collect retry {job.id}`" in refused.json()["detail"]) == (409, True)
        assert jobs.get(job.id).status is JobStatus.PARTIALLY_COMPLETED
        assert api.get("/api/snapshot").json()["Partially completed"] >= 1
        assert api.delete(f"/api/jobs/{job.id}").status_code == 204
        assert api.get(f"/api/jobs/{job.id}").status_code == 404
        assert api.get("/api/jobs", params={"text": job.id}).json()["total"] == 0


def test_the_api_keeps_to_its_document(console: str, tmp_path: Path) -> None:
    """Schemathesis finds no answer that the document does not describe, and no error of the console itself; the store
    of another test's job may be gone, which is 502.
    """
    config = tmp_path / "schemathesis.toml"
    config.write_text('[checks]\nnot_a_server_error.expected-statuses = ["2xx", "4xx", 502, 503]\n')
    ran = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config),
            "run", f"{console}/api/openapi.json",
            "--header", f"Authorization: {BEARER['Authorization']}", "--checks", CHECKS,
            "--max-examples", "10", "--generation-deterministic", "--no-color", "--phases", PHASES,
        ],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]


def test_sources_and_exports_as_json(console: str, tmp_path: Path) -> None:
    """A saved source is listed and changed, field by field; an export that no process would run is refused."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "good").write_text("good")
    source = FileSource(root=tmp_path / "root", name="json-source")
    source.save("json-source")
    state = collect(source=source, store=tmp_path / "store", return_state=True)
    job_id = str(state.state_details.flow_run_id)
    with httpx.Client(base_url=console, headers=BEARER, timeout=60) as api:
        [listed] = [one for one in api.get("/api/sources").json() if one["reference"] == "file-source/json-source"]
        assert (listed["name"], listed["lifecycle"], listed["collections_at_once"]) == ("json-source", "ACTIVE", 1)
        page = f"/api/sources/{listed['id']}"
        changed = api.patch(page, json={"lifecycle": "ARCHIVED"}).json()
        assert changed == {**listed, "lifecycle": "ARCHIVED"}
        assert api.patch(page, json={"collections_at_once": 4}).json() == {**changed, "collections_at_once": 4}
        assert api.patch(page, json={"exports_at_once": -1}).status_code == 422
        assert api.patch(f"/api/sources/{job_id}", json={}).status_code == 404
        asked = {"destination": str(tmp_path / "out")}
        refused = api.post(f"/api/jobs/{job_id}/exports", json=asked)
        assert (refused.status_code, "prefect-collect serve" in refused.json()["detail"]) == (409, True)
        assert api.post(f"/api/jobs/{job_id}/exports", json={**asked, "format": "rar"}).status_code == 422
        assert api.post(f"/api/jobs/{job_id}/exports", json={**asked, "formats": "bagit"}).status_code == 422
        assert api.post(f"/api/jobs/{listed['id']}/exports", json=asked).status_code == 404


def test_new_collections_and_schedules_as_json(console: str, tmp_path: Path) -> None:
    """A collection of a saved source is drafted, and one is put on a schedule, which is listed, paused and deleted; a
    source or store that is not there, a relative path, an unknown field, and a schedule without a time are refused in
    words.
    """
    (tmp_path / "root").mkdir()
    FileSource(root=tmp_path / "root", name="planned-source").save("planned-source")
    wanted: dict[str, Any] = {
        "source": "file-source/planned-source", "store": str(tmp_path / "store"), "name": "by a program",
        "query": {"include": ["*.txt"], "min_size": 5}, "custodian": "Ann", "hashes": ["md5"],
        "custodians": [{"pattern": "mail/bo/**", "custodian": "Bo"}],
        "auto_export": {"destination": str(tmp_path / "out"), "when": "successful"},
    }  # fmt: skip
    with httpx.Client(base_url=console, headers=BEARER, timeout=60) as api:
        answer = api.post("/api/jobs", json=wanted)
        assert answer.status_code == 201, answer.text
        job = jobs.get(answer.json()["job"]["job_id"])
        assert (job.status, job.name, job.source, job.custodian) == (
            JobStatus.DRAFTED, "by a program", "planned-source", "Ann",
        )  # fmt: skip
        assert jobs.query_of(job).to_json() == wanted["query"]
        assert (job.parameters["hashes"], job.parameters["auto_export"]["when"]) == (["md5"], "successful")
        assert job.parameters["custodians"] == wanted["custodians"]
        assert [one["status"] for one in answer.json()["related"]] == ["Awaiting collection"]
        made = api.post("/api/schedules", json={**wanted, "cron": "0 3 * * 1-5", "timezone": "Europe/Berlin"}).json()
        assert (made["timing"], made["timezone"], made["active"]) == ("cron 0 3 * * 1-5", "Europe/Berlin", True)
        page = f"/api/schedules/{made['id']}"
        assert api.patch(page, json={"active": False}).json() == {**made, "active": False, "next_start": None}
        assert made["id"] in [one["id"] for one in api.get("/api/schedules").json()]
        [source] = [one for one in api.get("/api/sources").json() if one["reference"] == wanted["source"]]
        assert made["source_id"] == source["id"]
        assert api.delete(page).status_code == 204
        assert api.delete(page).status_code == 404
        for path, change, status, word in (
            ("jobs", {"source": "file-source/none"}, 404, "no such data source"),
            ("jobs", {"source": "here"}, 404, "whole path"),
            ("jobs", {"source": f"{tmp_path}/none"}, 404, "There is no file or folder"),
            ("jobs", {"source": "s3:/bucket"}, 422, "Did you mean s3://bucket?"),
            ("jobs", {"store": "here"}, 422, "whole path"),
            ("jobs", {"store": "collect-s3-store/none"}, 422, "no such store"),
            ("jobs", {"query": {"limit": -1}}, 422, "limit"),
            ("jobs", {"custodian_patterns": []}, 422, "custodian_patterns"),
            ("jobs", {"query": {"includes": []}}, 422, "includes"),
            ("jobs", {"custodians": [{"pattern": "mail/**"}]}, 422, "custodians"),
            ("schedules", {}, 422, "cron expression"),
        ):
            answer = api.post(f"/api/{path}", json={**wanted, **change})
            assert (answer.status_code, word in answer.json()["detail"]) == (status, True), answer.text
