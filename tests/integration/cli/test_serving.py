"""`serve` on its own Prefect server: it runs the jobs that are queued, and puts them back when it ends."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from prefect_collect import jobs
from prefect_collect.statuses import JobStatus
from tests.integration.cli.conftest import Command, Done, run_here, until, used_quietly
from tests.integration.cli.slow_sources import ITEMS, SlowBucket, keyed
from tests.integration.cli.test_own_server import _processes_of
from tests.integration.migrated import put_database
from tests.integration.prefect_server import PrefectServer, running_prefect_server
from tests.integration.served.conftest import is_ready
from tests.integration.servers import S3Server, free_port

pytestmark = pytest.mark.integration

_LOGOS = Path(__file__).parents[3] / "blocks" / "logos"


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A server that other tests do not use: for a minute after a `serve` has ended, jobs are still queued for it."""
    with running_prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture
def used_server(own_server: PrefectServer) -> Iterator[PrefectServer]:
    """That server, used by this process."""
    with used_quietly(own_server) as server:
        yield server


def test_jobs_are_handed_to_a_serve_and_on_to_the_next(
    own_server: PrefectServer, here: Callable[..., Done], slow: SlowBucket, moto: S3Server, tmp_path: Path
) -> None:
    """`start` queues a draft for the worker and waits; Ctrl-C ends the wait, not the job; `--detach` does not wait.

    Ctrl-C on the `serve` in the middle of a job queues the job, and the next `serve` resumes it, with every item once,
    and runs its export. Both end in order, with 0. A retry of chosen items that is handed on works on those alone.
    """
    ours = keyed(Command(own_server.environment(), tmp_path), moto)
    store = ("--store", tmp_path / "store", "--json")
    with ours.serving(folder=tmp_path) as serve:
        job = here("draft", slow.url, *slow.options, "--export-to", tmp_path / "out", *store).json["job_id"]
        waiting = ours.start("start", job, *store)
        slow.until_held()
        os.killpg(waiting.pid, signal.SIGINT)
        out, err = waiting.communicate(timeout=120)
        assert waiting.returncode == 130, err
        assert "A worker runs the job" in err
        assert "The job continues" in err
        assert json.loads(out)["status"] == "In progress"
        canceled = here("cancel", job, *store)
        assert (canceled.code, canceled.json["status"]) == (0, "Canceled"), canceled.err
        before = slow.asked
        chosen = _retry_of_one(slow, moto, here, tmp_path)
        detached = here("start", job, "--detach", *store)
        assert (detached.code, detached.json["status"]) == (0, "Queued"), detached.err
        slow.until_held(before)
        assert serve.end(signal.SIGINT) == 0
        assert "Ended; jobs that were running are queued" in serve.said
        assert "Traceback" not in serve.said
    shown = here("show", job, "--json").json
    assert (shown["status"], shown["next_steps"]) == ("Queued", ["Cancel"])
    assert "goes on where it was" in shown["message"]
    refused = here("start", job)
    assert (refused.code, "'Queued'" in refused.error) == (2, True)
    assert here("show", job, "--json").json["status"] == "Queued"
    slow.release()
    with ours.serving(folder=tmp_path) as serve:
        until(lambda: list((tmp_path / "out").glob("*.zip")))
        until(lambda: f"({job}): Successfully completed" in serve.said)
        until(lambda: len(jobs.get(chosen).attempts) == 3 and jobs.get(chosen).status is JobStatus.PARTIALLY_COMPLETED)
        assert serve.end(signal.SIGTERM) == 0
        assert "Traceback" not in serve.said
    done = here("show", job, "--json").json
    assert (done["status"], done["found"], done["succeeded"]) == ("Successfully completed", ITEMS, ITEMS)
    assert here("verify", job, *store).code == 0
    paths = [item["path"] for item in here("preview", job, *store).json["items"]]
    assert sorted(paths) == [f"data/{number}.txt" for number in range(ITEMS)]
    result = jobs.get(chosen).result
    assert result is not None
    assert (result.status, result.counts.found, result.counts.succeeded) == (JobStatus.PARTIALLY_COMPLETED, 3, 2)
    assert result.this_attempt.found == 1


def _retry_of_one(slow: SlowBucket, server: S3Server, here: Callable[..., Done], folder: Path) -> str:
    """Retry one of two failed items in the worker, hold the item back, and return the job's id."""
    store = ("--store", folder / "store", "--json")
    for name in ("a", "b", "c"):
        server.client().put_object(Bucket=slow.bucket, Key=f"more/{name}", Body=b"x")
    for name in ("a", "b"):
        slow.proxy.fail_next(1, 403, "AccessDenied", method="GET", path=f"/more/{name}")
    draft = here("draft", slow.url.replace("/data", "/more"), *slow.options, *store).json["job_id"]
    made = here("start", draft, *store).json
    assert (made["status"], made["succeeded"]) == ("Partially completed", 1)
    lines = Path(made["error_report"]).with_name("errors.csv").read_text("utf-8-sig").splitlines(keepends=True)
    report = folder / "chosen.csv"
    report.write_text("".join(lines[:2]), "utf-8")
    held = next(name for name in ("a", "b") if f"more/{name}" in lines[1])
    slow.proxy.hang_next(1000, method="GET", path=f"/more/{held}")
    before = slow.proxy.count("GET", f"/more/{held}")
    here("retry", made["job_id"], "--report", report, "--detach", *store)
    until(lambda: slow.proxy.count("GET", f"/more/{held}") > before)
    return str(made["job_id"])


def _logos(server: str) -> dict[str, bytes]:
    """Return the logos of this package's blocks on a server, by file name, loaded from the addresses of their types."""
    asked = httpx.post(f"{server}/api/block_types/filter", json={}, trust_env=False).raise_for_status()
    assert [each["name"] for each in asked.json() if not each["logo_url"]] == []
    urls = [each["logo_url"] for each in asked.json() if each["logo_url"].startswith(server)]
    return {url.rpartition("/")[2]: httpx.get(url, trust_env=False).raise_for_status().content for url in urls}


def test_a_server_with_a_ui_for_a_serve(command: Command, files: Callable[..., Path], tmp_path: Path) -> None:
    """Without a configured server, `serve` starts one with its UI, says how others use it, and ends it with itself.

    The server serves the logos of the blocks, at the addresses that their types name.
    """
    home, port = tmp_path / "home", free_port()
    put_database(home)
    alone = command.without_server(home)
    with alone.serving("--port", str(port), "--limit", "1", folder=tmp_path) as serve:
        assert f"export PREFECT_API_URL=http://127.0.0.1:{port}/api" in serve.said
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert b"<html" in page.read().lower()
        taken = alone("serve", "--port", str(port))
        assert (taken.code, "--port" in taken.err) == (2, True)
        with used_quietly(PrefectServer(f"http://127.0.0.1:{port}/api", home)):
            # for a moment Prefect does not know that its deployments are served
            until(lambda: is_ready(serve.process), every=2)
            assert _logos(f"http://127.0.0.1:{port}") == {path.name: path.read_bytes() for path in _LOGOS.glob("*.png")}
            assert (run_here("serve", "--port", "4299").code, run_here("serve", "--notify", "a/b").code) == (2, 2)
            job = run_here("draft", files(a=b"a"), "--json").json["job_id"]
            done = run_here("start", job, "--json")
        assert done.code == 0, done.err
        assert done.json["succeeded"] == 1
        assert "A worker runs the job" in done.err
        assert _processes_of(home)
        assert serve.end(signal.SIGTERM) == 0
    until(lambda: not _processes_of(home))
