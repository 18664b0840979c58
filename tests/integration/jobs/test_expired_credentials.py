"""Keys that an S3 server refuses in the middle of a job: it ends soon, says why, and resumes with valid keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prefect_collect.blocks import ObjectStoreSource
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import S3Store
from prefect_collect.threads.stop import IN_A_ROW
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.support.memory_source import MemorySource, Thing
from tests.support.memory_store import MemoryStore
from tests.support.run_attempts import attempt, check_account, export, job_rows, new_job, unsuccessful

pytestmark = pytest.mark.integration

COUNT = 60
AT_ONCE = 8
"""Items that are read at once; those under way are not called back."""

REFUSALS = [(400, "ExpiredToken"), (403, "InvalidAccessKeyId")]
EVER = 10**9


@pytest.fixture
def proxy(seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> FaultProxy:
    """A proxy in front of SeaweedFS."""
    return fault_proxy(seaweedfs)


@pytest.fixture
def store(seaweedfs: S3Server, proxy: FaultProxy) -> S3Store:
    """A store behind the proxy."""
    return S3Store(seaweedfs.new_bucket(), "jobs", endpoint_url=proxy.url, session=seaweedfs.session())


def a_source() -> MemorySource:
    """Items that can be read."""
    return MemorySource({f"item/{n:03}": Thing("good", b"content %d" % n) for n in range(COUNT)})


@pytest.mark.parametrize(("status", "code"), REFUSALS)
def test_of_the_source(
    seaweedfs: S3Server, proxy: FaultProxy, status: int, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After twenty refused objects the rest is not attempted; a retry with valid keys collects it."""
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweedfs.new_bucket()
    for n in range(COUNT):
        seaweedfs.client().put_object(Bucket=bucket, Key=f"k{n:03}", Body=b"content %d" % n)
    source = ObjectStoreSource(url=f"s3://{bucket}", endpoint_url=proxy.url)
    folder = new_job(MemoryStore(), source)
    proxy.fail_next(EVER, status=status, code=code, path=r"/k\d+")
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.found, result.counts.succeeded) == (JobStatus.FAILED, COUNT, 0)
    assert IN_A_ROW <= result.counts.failed <= IN_A_ROW + 2 * AT_ONCE
    assert proxy.count("GET", r"/k\d+") <= IN_A_ROW + 2 * AT_ONCE
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"bad_credentials"}
    assert job_rows(folder) == ["bad_credentials"]
    assert code in result.message
    proxy.requests.clear()
    again = attempt(folder, source)  # what failed is looked up first
    assert proxy.count("HEAD", r"/k\d+") >= IN_A_ROW
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"bad_credentials"}
    assert (again.counts.failed + again.counts.not_attempted, job_rows(folder)) == (COUNT, ["bad_credentials"])
    proxy.clear()
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)


def test_of_the_staging_store(proxy: FaultProxy, store: S3Store) -> None:
    """A collection whose staging store refuses its keys ends without a loss; a retry with valid keys resumes it."""
    source = a_source()
    folder = new_job(store, source)
    status, code = REFUSALS[0]
    proxy.fail_next(EVER, status=status, code=code, path="/segments/")
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.FAILED, 0)
    assert job_rows(folder) == ["store_access_denied"]
    assert code in result.message
    assert proxy.count(path="/segments/") < IN_A_ROW
    proxy.clear()
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)


@pytest.mark.parametrize(
    ("status", "code", "what"), [(*REFUSALS[1], "/segments/"), (*REFUSALS[0], "/out/"), (*REFUSALS[1], "/out/")]
)
def test_of_an_export(
    seaweedfs: S3Server, proxy: FaultProxy, store: S3Store, status: int, code: str, what: str
) -> None:
    """An export that is refused by the staging store or the destination fails; a retry with valid keys delivers.

    A destination is first asked with HEAD, whose answer has no code, so it meets both refusals. A staging store says
    what it refuses alike to reading (here) and writing (above): each meets one of them.
    """
    source = a_source()
    folder = new_job(store, source)
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    destination = S3Store(store.bucket, "out", endpoint_url=proxy.url, session=seaweedfs.session())
    asked = proxy.count(path=what)
    proxy.fail_next(EVER, status=status, code=code, path=what)
    job, result = export(folder, destination)
    check_account(job)
    assert (result.status, result.counts.succeeded, result.package) == (JobStatus.FAILED, 0, None)
    # The answer to a HEAD has no room for a code.
    assert any(said in result.message for said in (code, "credentials have expired", "403: Forbidden"))
    assert job_rows(job) == ["store_access_denied"]
    assert proxy.count(path=what) - asked < IN_A_ROW
    proxy.clear()
    _, result = export(folder, destination, job=job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify("test.zip", store=destination).valid
