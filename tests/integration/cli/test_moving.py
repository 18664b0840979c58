"""Drafts, exports made with their collection, cancel, delete and the queue, where no worker runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Command, Done, until
from tests.integration.cli.slow_sources import ITEMS, SlowBucket, keyed
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration


def _job_in(store: Path) -> str:
    """Return the id of the job in a staging store, once it moves data."""
    found: str = until(lambda: [path.parents[2].name for path in store.glob("*/inventory/0001/inventory.json")])[0]
    return found


def _end(process: subprocess.Popen[str]) -> tuple[int, Any, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, json.loads(out) if out else None, err


def test_a_draft_is_saved_changed_and_started_here(
    here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path
) -> None:
    """A draft runs nothing; `edit` changes only what it is given; `start` runs the draft here, and says so."""
    root = files(a=b"a", bb=b"bb", ccc=b"ccc")
    store = ("--store", tmp_path / "store")
    made = here("draft", root, "--exclude", "a", "--min-size", "1", *store, "--json")
    assert (made.code, made.err) == (0, "")
    job = made.json["job_id"]
    assert (made.json["status"], made.json["task_status"]) == ("Drafted", "DRAFT")
    assert (made.json["next_steps"], made.json["found"]) == (["Start", "Delete"], None)
    assert job in made.json["page"]
    shown = here("show", job[:12], *store)
    assert (shown.code, shown.err) == (0, "")
    assert f"prefect-collect start {job}" in shown.out
    changed = here("edit", job[:12], "--min-size", "3", "--name", "renamed", "--tries", "2", *store, "--json")
    assert changed.code == 0, changed.err
    parameters = changed.json["parameters"]
    assert (parameters["query"]["exclude"], parameters["query"]["min_size"]) == (["a"], 3)
    assert (changed.json["name"], parameters["tries"]) == ("renamed", 2)
    nothing = here("edit", job, *store)
    assert (nothing.code, "Nothing was given to change" in nothing.error) == (2, True)
    done = here("start", job, *store, "--json")
    assert (done.code, done.err) == (0, "No worker is running, so the job runs here.\n")
    assert (done.json["status"], done.json["found"], done.json["name"]) == ("Successfully completed", 1, "renamed")
    late = here("edit", job, "--tries", "3", *store)
    assert (late.code, "Only a draft can be edited" in late.error) == (2, True)


def test_an_export_made_with_its_collection(
    here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path
) -> None:
    """`collect --export-to` prints both jobs; with `--export-when successful` the export waits for full success.

    `test_saved_destinations` has one that runs at once.
    """
    root = files(a=b"a")
    store = ("--store", tmp_path / "store")
    (root / "lost").symlink_to("later")
    options = ("--follow-symlinks", "--export-to", tmp_path / "whole", "--export-when", "successful")
    partial = here("collect", root, *options, *store)
    assert partial.code == 3, partial.err
    assert "Partially completed" in partial.out
    assert "Awaiting collection" in partial.out
    [job] = [line.split()[2] for line in partial.out.splitlines() if line.startswith("Collection ")]
    (root / "later").write_bytes(b"later")
    again = here("retry", job, *store, "--json")
    assert again.code == 0, again.err
    assert (again.json["export"]["status"], again.json["export"]["succeeded"]) == ("Successfully completed", 2)


def test_cancel_prints_a_receipt_and_start_goes_on(
    command: Command, here: Callable[..., Done], with_keys: S3Server, slow: SlowBucket, tmp_path: Path
) -> None:
    """`cancel` waits until the work has stopped, also in an item that hangs; `start` resumes the job."""
    store = ("--store", tmp_path / "store", "--json")
    process = keyed(command, with_keys).start("collect", slow.url, *slow.options, *store)
    job = _job_in(tmp_path / "store")
    slow.until_held()
    canceled = here("cancel", job, *store)
    assert canceled.code == 0, canceled.err
    assert canceled.json["status"] == "Canceled"
    assert canceled.json["succeeded"] + canceled.json["not_attempted"] == ITEMS
    code, printed, _ = _end(process)
    assert (code, printed["status"]) == (5, "Canceled")
    shown = here("show", job, "--store", tmp_path / "store")
    assert f"{canceled.json['succeeded']} items kept" in shown.out
    again = here("cancel", job, *store)
    assert (again.code, "does not offer 'Cancel'" in again.error) == (2, True)
    slow.release()
    done = here("start", job, *store)
    assert done.code == 0, done.err
    assert (done.json["status"], done.json["succeeded"], done.json["attempt"]) == ("Successfully completed", ITEMS, 2)


def test_the_place_in_the_queue_is_shown(
    command: Command, here: Callable[..., Done], with_keys: S3Server, slow: SlowBucket, tmp_path: Path
) -> None:
    """While a job of the same source runs, `show` says who holds the slot, and the job that waits here says it once, on
    standard error; `delete` refuses the one that runs.
    """
    ours, options = keyed(command, with_keys), (*slow.options, "--json")
    first = ours.start("collect", slow.url, *options, "--store", tmp_path / "one", "--name", "the holder")
    holder = _job_in(tmp_path / "one")
    slow.until_held()
    second = ours.start("collect", slow.url, *options, "--store", tmp_path / "two")
    assert second.stderr is not None
    line = second.stderr.readline()
    assert line == f"prefect-collect: Waiting for the holder ({holder[:8]}); it is the next.\n"
    waiting = until(lambda: [path.parent.name for path in (tmp_path / "two").glob("*/job.json")])[0]
    place = until(lambda: here("show", waiting, "--json").json["queue"])
    assert (place["holders"], place["before"]) == ([holder], 0)
    assert place["reason"].endswith(f"({holder[:8]}); it is the next.")
    assert place["reason"] in " ".join(here("show", waiting).out.split())
    refused = here("delete", holder, "--yes")
    assert (refused.code, "it offers 'Cancel'" in refused.error) == (2, True)
    slow.release()
    for process in (first, second):
        code, printed, err = _end(process)
        assert (code, printed["succeeded"], err) == (0, ITEMS, "")


def test_delete(here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path) -> None:
    """`delete` needs --yes without a terminal; then the job is gone except the last entry of its custody log."""
    store = ("--store", tmp_path / "store")
    job = here("collect", files(a=b"a"), *store, "--json").json["job_id"]
    asked = here("delete", job, *store)
    assert (asked.code, "--yes" in asked.error) == (2, True)
    done = here("delete", job, "--yes", *store, "--json")
    assert (done.code, done.err, done.json) == (0, "", {"job_id": job, "deleted": True, "exports": []})
    for text in (job, job[:9]):
        gone = here("show", text, *store)
        assert (gone.code, "was deleted" in gone.error) == (2, True)
    assert here("jobs", *store, "--json").json == []
    assert here("verify", job, *store).code == 0


def test_since_last(here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path) -> None:
    """`--since last` collects what is new since the last collection of the source."""
    root, store = files(a=b"a", b=b"b"), ("--store", tmp_path / "store", "--json")
    assert here("collect", root, *store).json["succeeded"] == 2
    files(c=b"c")
    done = here("collect", root, "--since", "last", *store)
    assert done.code == 0, done.err
    assert done.json["succeeded"] == 1
