"""A collection to make documents of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prefect_collect.documents.evidence import account_of_job
from prefect_collect.exporting.bound_collection import bind_collection
from prefect_collect.job_folder.folder import JobFolder
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, new_job

CUSTODIAN = 'Łucja Дмитрий Ωmega <script>alert("1")</script> \u202e你好'


@pytest.fixture
def collection(tmp_path: Path) -> JobFolder:
    """Return a collection of three items, of which one failed."""
    source = MemorySource({"a.txt": Thing("good", b"alpha"), "b": Thing("good", b"b"), "denied": Thing("denied", b"c")})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source, options={"custodian": CUSTODIAN, "hashes": ["md5"]})
    attempt(folder, source, hashes=("md5",))
    return folder


@pytest.fixture
def account(collection: JobFolder) -> dict[str, Any]:
    """Return the account of the collection."""
    return account_of(collection)


def account_of(folder: JobFolder) -> dict[str, Any]:
    """Return the account of a collection as it is now."""
    bound = bind_collection(folder.store, folder.job_id)
    return account_of_job(bound.vouched, bound.record, bound.result)
