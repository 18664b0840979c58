"""Drafts that are edited on the command line, each checked by what it collects and exports when it is started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client

from prefect_collect.flows.auto_exports import exports_of
from tests.integration.cli.conftest import Done

pytestmark = pytest.mark.integration


def test_a_draft_of_another_source(here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path) -> None:
    """`--source`, `--everything` and `--export-to` change source, query and export; the rest stays.

    The commands say which job the export is that awaits the draft, and which draft an export awaits.
    """
    root, store = files(a=b"a", bb=b"bb"), ("--store", tmp_path / "store")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("a", "c", "aux"):
        (other / name).write_text(name)
    to = ("--export-to", tmp_path / "first", "--export-format", "directory")
    made = here("draft", root, "--exclude", "a", "--min-size", "2", *to, *store, "--json").json
    job, awaiting = made["job_id"], made["export_id"]
    assert ": 1 item, 2 bytes; no time, without an earlier job." in made["expected"]
    shown_draft = here("show", job, *store).out
    assert f"  source   {made['source']}  {root}\n           {made['expected']}\n" in shown_draft
    refused = here("edit", awaiting, "--exclude", "b", *store)
    assert (refused.code, f"an export that awaits collection {job}" in refused.error) == (2, True)
    moved = here("edit", job, "--source", other, *store, "--json")
    assert moved.code == 0, moved.err
    source = moved.json["source"]
    assert (moved.json["name"], source.endswith("other")) == (source, True)
    assert moved.json["parameters"]["query"]["exclude"] == ["a"]
    assert (moved.json["export_id"], moved.json.get("export_deleted")) == (awaiting, None)
    changed = here("edit", job, "--everything", "--export-to", tmp_path / "out", "--portable-names", *store)
    assert (changed.code, changed.err) == (0, "")
    assert f"directory to {tmp_path / 'out'}" in " ".join(changed.out.split())
    assert "exclude" not in changed.out
    assert f"  source   {source}  {other}\n" in changed.out
    assert ": 3 items, 5 bytes; no time, without an earlier job." in changed.out
    with get_client(sync_client=True) as client:
        [export_run] = exports_of(client, UUID(job))
    assert f"as job {export_run.id}" in changed.out
    replaced = (
        f"job {awaiting}, which awaited the draft, was deleted; job {export_run.id} awaits the draft in its place"
    )
    assert replaced in " ".join(changed.out.split())
    shown = here("show", export_run.id)
    assert (shown.code, f"awaits   collection {job}" in shown.out) == (0, True), shown.err
    done = here("start", job, *store, "--json")
    assert done.code == 0, done.err
    assert (done.json["source"], done.json["found"], done.json["succeeded"]) == (source, 3, 3)
    export = done.json["export"]
    assert (export["name"], export["source"], export["succeeded"]) == (f"export of {source}", source, 3)
    [package] = (tmp_path / "out").iterdir()
    assert sorted(path.name.partition("~")[0] for path in package.glob("data/*")) == ["_aux", "a", "c"]
    assert not (tmp_path / "first").exists()


def test_a_draft_without_its_export(here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path) -> None:
    """`--no-export` drops only the waiting export, and is refused together with `--export-to`."""
    root, store = files(a=b"a", bb=b"bb"), ("--store", tmp_path / "store")
    to = ("--export-to", tmp_path / "out")
    made = here("draft", root, "--exclude", "a", *to, *store, "--json").json
    job, awaiting = made["job_id"], made["export_id"]
    both = here("edit", job, "--no-export", *to, *store)
    assert (both.code, "leave one of them out" in both.error) == (2, True)
    dropped = here("edit", job, "--no-export", *store, "--json")
    assert dropped.code == 0, dropped.err
    assert "auto_export" not in dropped.json["parameters"]
    assert (dropped.json["export_id"], dropped.json["export_deleted"]) == (None, awaiting)
    with get_client(sync_client=True) as client:
        assert exports_of(client, UUID(job)) == []
    done = here("start", job, *store, "--json")
    assert done.code == 0, done.err
    assert (done.json["found"], "export" in done.json) == (1, False)
    assert not (tmp_path / "out").exists()


def test_a_deleted_draft(here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path) -> None:
    """`delete` says that the export that awaited the draft is deleted with it."""
    store = ("--store", tmp_path / "store")
    made = here("draft", files(a=b"a"), "--export-to", tmp_path / "out", *store, "--json").json
    done = here("delete", made["job_id"], "--yes", *store)
    assert (done.code, f"and export {made['export_id']}, which awaited it." in " ".join(done.out.split())) == (0, True)
