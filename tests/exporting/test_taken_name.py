"""What is said of a destination that already has a package of that name."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.errors import PackageExists
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, export, new_job


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    """The message names the earlier export that wrote the package, with its format and time, and what to do with it;
    of something else that no export of the collection wrote, it says so.
    """
    source = MemorySource({"a.txt": Thing("good", b"a")})
    collection = new_job(MemoryStore(), source)
    assert attempt(collection, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    bound = bind_collection(collection.store, collection.job_id)
    destination = DirectoryStore(tmp_path / "out")
    delivery = Delivery(destination, "bagit")
    base = delivery.base(bound.record)
    place = destination.locate(delivery.key(base))
    destination.create(delivery.key(base), b"another file")
    with pytest.raises(PackageExists, match="which no export of this collection is known to have written"):
        delivery.require_free(base, bound.folder)
    destination.remove([delivery.key(base)])
    delivery.require_free(base, bound.folder)
    job, result = export(collection, destination)
    assert result.package == place
    with pytest.raises(PackageExists) as caught:
        delivery.require_free(base, bound.folder)
    said = str(caught.value)
    assert f"already there: export {job.job_id} (" in said
    assert f"ended {result.ended:%Y-%m-%d %H:%M} UTC). Take that one (`prefect-collect verify {place}`, " in said
    assert f"`prefect-collect download {job.job_id} --to DIR`), or name another destination. [{place}]" in said
