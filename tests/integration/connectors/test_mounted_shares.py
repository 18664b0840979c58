"""A share of a real Samba server, mounted, as a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.blocks import FileSource
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore
from tests.integration.smb import Share, mounted_share
from tests.support.run_attempts import attempt, check_account, held, job_rows, new_job, unsuccessful

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def share() -> Iterator[Share]:
    """A mounted share."""
    with mounted_share() as running:
        yield running


def test_a_share(share: Share, tmp_path: Path) -> None:
    """What the user may read is collected byte for byte; a file and a folder that the server refuses fail with
    `access_denied`. If the server is gone, a job fails and says so: the share is not taken for an empty folder.
    """
    contents = {"a.txt": b"a", "sub/ü ß/日本.txt": b"text", "sub/large": bytes(range(250)) * 12_000}
    for name, data in contents.items():
        path = share.files / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (share.files / "data/secret.txt").write_bytes(b"hush")
    (share.files / "data/secret.txt").chmod(0o600)
    (share.files / "data/closed").mkdir(mode=0o700)
    source = FileSource(root=share.mounted / "data", name="share")
    assert {item.path for item in items_of(source)} == {*contents, "secret.txt", "closed/"}

    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    assert attempt(folder, source).status is JobStatus.PARTIALLY_COMPLETED
    check_account(folder, {row["item_id"]: contents[row["original_path"]] for row in held(folder).values()})
    assert {row["original_path"] for row in held(folder).values()} == contents.keys()
    failed = {row["path"]: row["error_code"] for row in unsuccessful(folder).values()}
    assert failed == {"secret.txt": "access_denied", "closed/": "access_denied"}

    share.stop()
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    result = attempt(folder, source)
    assert (result.status, result.listing_complete, result.counts.found) == (JobStatus.FAILED, False, 0)
    assert job_rows(folder)
