"""Which exports copy items into their file while they are checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.exporting.attempt import STEPS, run_export
from prefect_collect.exporting.bound_collection import BoundCollection, bind_collection
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.packages import Checked, verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.threads.progress import Progress
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, new_export, new_job


@pytest.mark.parametrize(
    ("format", "how", "remote", "begins"),
    [
        ("bagit", {}, False, True),
        ("bagit", {"sha512": True}, False, True),
        ("bagit", {"deduplicate": "global"}, False, False),
        ("bagit", {}, True, False),
        ("bagit-tar", {}, False, False),
        ("directory", {}, False, False),
    ],
)
def test_what_is_begun(format: Any, how: dict[str, Any], remote: bool, begins: bool, tmp_path: Path) -> None:
    """A bag in one ZIP file is, between folders, if all its items are delivered; and it is valid, as the others are."""
    source = MemorySource({f"{n}": Thing("good", b"%d" % n) for n in range(5)})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(folder, source)
    out: Store = MemoryStore() if remote else DirectoryStore(tmp_path / "out")
    begun: list[bool] = []

    def check(bound: BoundCollection, delivery: Delivery, progress: Progress) -> Checked:
        checked = STEPS.check(bound, delivery, progress)
        begun.append(checked.begun is not None)
        return checked

    bound = bind_collection(folder.store, folder.job_id)
    job = new_export(bound)
    number = claim_attempt(job, {"manifest": bound.result.attempt})
    result = run_export(job, job.record(), number, bound, Delivery(out, format, **how), replace(STEPS, check=check))
    assert begun == [begins]
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    [name] = {blob.key.partition("/")[0] for blob in out.list()}
    assert verify(name, store=out).valid
