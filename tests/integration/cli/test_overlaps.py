"""Sources, staging stores and destinations that lie in each other, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_collect import collect, export, jobs
from prefect_collect.blocks import DirectoryStoreBlock, FileSource
from prefect_collect.errors import InvalidLocation
from prefect_collect.flows import AutoExport
from tests.integration.cli.conftest import Done
from tests.integration.servers import S3Server
from tests.integration.shared_server import job_ids

pytestmark = pytest.mark.integration

Here = Callable[..., Done]


def tree(root: Path) -> set[str]:
    """Return all that lies below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_a_folder_that_contains_its_store(here: Here, tmp_path: Path) -> None:
    """Collected twice into a store below it, with links into the store, a folder gives its two files each time."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_text("a")
    (root / "sub" / "b").write_text("b")
    (root / "link").symlink_to("sub/store")
    for _ in range(2):
        done = here("collect", root, "--store", root / "sub" / "store", "--follow-symlinks", "--include", "*", "--json")
        assert (done.code, done.err) == (0, "")
        assert (done.json["found"], done.json["succeeded"], done.json["skipped"]) == (4, 2, 2)
    said = here("show", done.json["job_id"], "--store", root / "sub" / "store")
    assert "The staging store lies in the source" in said.out
    report = here("report", done.json["job_id"], "--store", root / "sub" / "store", "--json")
    assert {row["path"]: row["error_code"] for row in report.json["errors"]} == {
        "link/": "staging_store",
        "sub/store/": "staging_store",
    }


def test_places_that_are_refused(here: Here, tmp_path: Path, used_server: object) -> None:
    """A source in its store, and a destination in the source or the store, end with 2 before anything is made."""
    root, store = tmp_path / "root", tmp_path / "store"
    root.mkdir()
    (root / "a").write_text("a")
    DirectoryStoreBlock(path=str(root / "saved")).save("in-the-source", overwrite=True)
    saved = "collect-directory-store/in-the-source"
    collection = here("collect", root, "--store", store, "--json").json["job_id"]
    draft = here("draft", root, "--store", store, "--json").json["job_id"]
    package = here("export", collection, "--to", tmp_path / "out", "--store", store, "--json").json["job_id"]
    before, known = tree(tmp_path), job_ids()
    for command in (
        ["collect", root, "--store", tmp_path],
        ["collect", root, "--store", root],
        ["draft", root, "--store", tmp_path],
        ["collect", root, "--store", store, "--export-to", root / "out"],
        ["collect", root, "--store", store, "--export-to", store],
        ["collect", root, "--store", store, "--export-to", saved],
        ["draft", root, "--store", store, "--export-to", root],
        ["draft", root, "--store", store, "--export-to", saved],
        ["edit", draft, "--store", store, "--export-to", root / "out"],
        ["edit", draft, "--store", store, "--source", store],
        ["export", collection, "--store", store, "--to", root / "out"],
        ["export", collection, "--store", store, "--to", saved],
        ["export", collection, "--store", store, "--to", store / "out"],
        ["download", package, "--store", store, "--to", root],
        ["report", collection, "--store", store, "--to", root / "report.csv"],
    ):
        done = here(*command)
        assert (done.code, done.out) == (2, ""), (command, done)
        assert "use a destination outside" in done.error or "use a store outside" in done.error, (command, done)
    assert tree(tmp_path) == before
    assert job_ids() - known == set()


def test_flows_that_are_started_so(used_server: object, tmp_path: Path) -> None:
    """Such a job from the UI, a schedule or Python is Failed, and its message names the remedy; nothing is written."""
    root, store = tmp_path / "root", tmp_path / "store"
    root.mkdir()
    (root / "a").write_text("a")
    source = FileSource(root=root)
    done = collect(source=source, store=store, return_state=True)
    collection = str(done.state_details.flow_run_id)
    before = tree(tmp_path)
    wanted = AutoExport(destination=str(root / "out"))
    for start in (
        lambda: collect(source=source, store=tmp_path, return_state=True),
        lambda: collect(source=source, store=store, auto_export=wanted, return_state=True),
        lambda: export(collection, root / "out", store=store, return_state=True),
        lambda: export(collection, DirectoryStoreBlock(path=str(root)), store=store, return_state=True),
    ):
        state: Any = start()
        assert state.name == "Failed"
        assert "use a destination outside" in state.message or "use a store outside" in state.message
        with pytest.raises(InvalidLocation):
            state.result()
    with pytest.raises(InvalidLocation):
        jobs.draft_collection(source, store=store, auto_export=wanted)
    assert tree(tmp_path) == before


def test_a_bucket_that_contains_its_store(here: Here, with_keys: S3Server) -> None:
    """A prefix that contains the store's gives its own objects each time, whatever name the server is addressed by."""
    moto, bucket = with_keys, with_keys.new_bucket()
    for key in ("mail/1", "mail/2", "mail/jobs2/3"):
        moto.client().put_object(Bucket=bucket, Key=key, Body=b"x")
    store = f"s3://{bucket}/mail/jobs"
    named = moto.url.replace("127.0.0.1", "localhost")
    for options in ([], ["--endpoint-url", named]):
        done = here("collect", f"s3://{bucket}/mail/", "--store", store, "--json", *options)
        assert (done.code, done.err) == (0, "")
        assert (done.json["found"], done.json["succeeded"], done.json["skipped"]) == (4, 3, 1)
    job: Any = done.json["job_id"]
    for command in (
        ["collect", f"s3://{bucket}/mail/jobs/x/", "--store", store],
        ["collect", f"s3://{bucket}/mail", "--store", store, "--export-to", f"s3://{bucket}/mail/out"],
        ["export", job, "--store", store, "--to", f"s3://{bucket}/mail/"],
        ["export", job, "--store", store, "--to", f"s3://{bucket}/mail/jobs"],
    ):
        refused = here(*command)
        assert (refused.code, refused.out) == (2, ""), (command, refused)
        assert "use a destination outside" in refused.error or "use a store outside" in refused.error
