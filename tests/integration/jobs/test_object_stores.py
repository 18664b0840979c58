"""Collections from and into S3 servers, well and badly behaved, without Prefect; all but the servers is real."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from prefect_aws import AwsCredentials

from prefect_collect.blocks.file_source import FileSource
from prefect_collect.blocks.object_store_source import ObjectStoreSource
from prefect_collect.errors import StoreUnavailable
from prefect_collect.job_folder.ledger import read_ledger
from prefect_collect.job_folder.lifecycle import claim_attempt
from prefect_collect.packages import verify
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.stores._s3 import S3Store
from prefect_collect.threads.retry_policy import RetryPolicy
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.support.run_attempts import attempt, check_account, export, held, job_rows, new_job, unsuccessful

pytestmark = pytest.mark.integration
_QUICK = RetryPolicy(tries=5, wait_initial=0.02, wait_max=0.1)
Proxied = Callable[[S3Server], FaultProxy]


@pytest.fixture(params=["seaweedfs", "moto"])
def server(request: pytest.FixtureRequest) -> S3Server:
    """Each of the servers that do all that a staging store needs."""
    found: S3Server = request.getfixturevalue(request.param)
    return found


def credentials(server: S3Server, secret: str | None = None) -> AwsCredentials:
    """Return the keys that the server accepts."""
    return AwsCredentials(
        aws_access_key_id=server.access_key,
        aws_secret_access_key=secret or server.secret_key,
        region_name=server.region,
    )


def source_of(server: S3Server, bucket: str, **options: object) -> ObjectStoreSource:
    """Return a source of that bucket, with short timeouts."""
    how: dict[str, object] = {"credentials": credentials(server), "connect_timeout": 2, "read_timeout": 3}
    return ObjectStoreSource(name="s3", url=f"s3://{bucket}", endpoint_url=server.url, **(how | options))  # type: ignore[arg-type]


def filled(server: S3Server, objects: dict[str, bytes]) -> str:
    """Return a new bucket with these objects."""
    bucket = server.new_bucket()
    client = server.client()
    for key, data in objects.items():
        client.put_object(Bucket=bucket, Key=key, Body=data)
    return bucket


def some(count: int, size: int = 300) -> dict[str, bytes]:
    """Return that many objects."""
    return {f"in/{n:03d}": bytes([n % 256]) * (size + n) for n in range(count)}


def s3_store(server: S3Server) -> Store:
    """Return a staging store in a new bucket."""
    return S3Store(server.new_bucket(), "staging", endpoint_url=server.url, session=server.session())


def test_from_s3_to_s3(seaweedfs: S3Server, tmp_path: Path) -> None:
    """A collection from S3 into S3, exported to S3 and verified there, counts and holds what the bucket holds."""
    objects = some(12) | {"large": b"x" * (9 << 20), "empty": b""}
    source = source_of(seaweedfs, filled(seaweedfs, objects))
    store = s3_store(seaweedfs)
    store.require_exclusive_creates()
    folder = new_job(store, source)
    result = attempt(folder, source, workers=2)
    check_account(folder, objects)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 14)
    destination = S3Store(seaweedfs.new_bucket(), "out", endpoint_url=seaweedfs.url, session=seaweedfs.session())
    _, first = export(folder, destination)
    assert first.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify("test.zip", store=destination).valid
    _, second = export(folder, DirectoryStore(tmp_path))
    assert (tmp_path / "test.zip").read_bytes() == destination.read("test.zip")
    assert first.fingerprint == second.fingerprint


def test_a_segment_altered_in_s3(seaweedfs: S3Server) -> None:
    """An overwritten segment is recognized, and its items fail; once it is restored, a retry delivers all of them."""
    objects = some(5)
    source = source_of(seaweedfs, filled(seaweedfs, objects))
    store = s3_store(seaweedfs)
    folder = new_job(store, source)
    attempt(folder, source)
    (row, *_) = held(folder).values()
    key = f"{folder.job_id}/{row['segment']}"
    data = store.read(key)
    bad = bytearray(data)
    bad[row["offset"] + 2] ^= 1
    writer = store.writer(key, replace=True)
    writer.write(bytes(bad))
    writer.commit()
    destination = S3Store(seaweedfs.new_bucket(), "", endpoint_url=seaweedfs.url, session=seaweedfs.session())
    job, result = export(folder, destination)
    assert (result.status, result.counts.failed) == (JobStatus.PARTIALLY_COMPLETED, 1)
    assert unsuccessful(job)[row["item_id"]]["error_code"] == "segment_corrupt"
    writer = store.writer(key, replace=True)
    writer.write(data)
    writer.commit()
    job, result = export(folder, destination, job=job)
    assert result.status is JobStatus.SUCCESSFULLY_COMPLETED
    assert verify("test.zip", store=destination).valid


def test_odd_keys(server: S3Server, tmp_path: Path) -> None:
    """Keys that no file can have, that lead outside, or that map to one path, stay distinct and keep their bytes."""
    keys = [
        "../up",
        "a/../../up",
        "/absolute",
        "//double",
        "a",
        "a/b",
        "new\nline",
        "100%",
        "=1+1",
        "x" * 255,
        "ä" * 100,
        "back\\slash",
        "C:/drive",
        "up",
        "a b+c&d=e",
        "..",
        "a/./b",
        "a//b",
        "-1",
        "y" * 999,
    ]
    bucket = server.new_bucket()
    for key in keys:
        with suppress(ClientError):  # neither server accepts them all
            server.client().put_object(Bucket=bucket, Key=key, Body=f"content of {key}".encode())
    listed = {found["Key"] for found in server.client().list_objects_v2(Bucket=bucket)["Contents"]}
    assert len(listed) > 10
    source = source_of(server, bucket)
    folder = new_job(DirectoryStore(tmp_path / "store"), source)
    result = attempt(folder, source)
    # SeaweedFS maps some keys to one path, so that both hold the last object written.
    check_account(folder, {key: f"content of {key}".encode() for key in listed} if server.name == "moto" else None)
    assert result.counts.found == len(listed)
    if server.name == "moto":
        assert result.status is JobStatus.SUCCESSFULLY_COMPLETED, unsuccessful(folder)
    for format, key in (("directory", "test"), ("bagit", "test.zip")):
        _, exported = export(folder, DirectoryStore(tmp_path / "out"), format)
        assert exported.counts.succeeded == result.counts.succeeded
        assert verify(tmp_path / "out" / key).valid
    assert {path.name for path in tmp_path.iterdir()} == {"store", "out"}


def test_busy_for_a_while(seaweedfs: S3Server, fault_proxy: Proxied, tmp_path: Path) -> None:
    """503 for a while costs tries, which are counted, and loses no item."""
    bucket = filled(seaweedfs, some(20))
    proxy = fault_proxy(seaweedfs)
    source = source_of(seaweedfs.at(proxy.url), bucket)
    folder = new_job(DirectoryStore(tmp_path), source)
    proxy.fail_next(9, 503, method="GET", path="in/0")
    result = attempt(folder, source, retry=_QUICK)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 20), unsuccessful(folder)
    ledger = read_ledger(folder, 1, 0)
    assert ledger is not None
    assert sum(ledger["tries"].to_pylist()) == 20 + 9


def test_truncated_and_reset(seaweedfs: S3Server, fault_proxy: Proxied, tmp_path: Path) -> None:
    """Truncated bodies and reset connections are tried again; staged items are whole."""
    objects = some(20, 30_000)
    bucket = filled(seaweedfs, objects)
    proxy = fault_proxy(seaweedfs)
    source = source_of(seaweedfs.at(proxy.url), bucket)
    folder = new_job(DirectoryStore(tmp_path), source)
    proxy.truncate_next(8, path="in/0")
    proxy.drop_next(5, path="in/01")
    result = attempt(folder, source, retry=_QUICK)
    check_account(folder, objects)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 20), unsuccessful(folder)


def test_source_goes_down(seaweedfs: S3Server, fault_proxy: Proxied, tmp_path: Path) -> None:
    """When the server goes away after the listing, every item soon fails as connection_lost; a retry collects all."""
    bucket = filled(seaweedfs, some(40))
    proxy = fault_proxy(seaweedfs)
    source = source_of(seaweedfs.at(proxy.url), bucket)
    folder = new_job(DirectoryStore(tmp_path), source)
    items = source.items

    def listing():  # type: ignore[no-untyped-def]
        yield from list(items())
        proxy.down()

    object.__setattr__(source, "items", listing)
    result = attempt(folder, source, retry=_QUICK)
    check_account(folder)
    assert (result.status, result.counts.failed) == (JobStatus.FAILED, 40)
    assert {row["error_code"] for row in unsuccessful(folder).values()} == {"connection_lost"}
    proxy.up()
    result = attempt(folder, source, retry=_QUICK)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 40)


@pytest.mark.parametrize(
    ("what", "code"), [("no bucket", "not_found"), ("wrong keys", "bad_credentials"), ("down", "connection_lost")]
)
def test_a_source_that_cannot_be_listed(seaweedfs: S3Server, tmp_path: Path, what: str, code: str) -> None:
    """The job is Failed, and the one row of its error report names the cause, without the secret."""
    bucket = filled(seaweedfs, some(1))
    secret = "a-wrong-secret-0123456789"
    if what == "no bucket":
        source = source_of(seaweedfs, "no-such-bucket-here")
    elif what == "wrong keys":
        source = source_of(seaweedfs, bucket, credentials=credentials(seaweedfs, secret))
    else:
        source = source_of(seaweedfs.at("http://127.0.0.1:9"), bucket)
    folder = new_job(DirectoryStore(tmp_path), source)
    result = attempt(folder, source, retry=_QUICK)
    check_account(folder)
    assert (result.status, job_rows(folder)) == (JobStatus.FAILED, [code]), result.message
    assert secret not in result.message


def test_deleted_and_changed_objects(seaweedfs: S3Server, tmp_path: Path) -> None:
    """Objects that are deleted or changed after the listing fail with their codes; a retry takes the new bytes."""
    bucket = filled(seaweedfs, some(4))
    source = source_of(seaweedfs, bucket)
    items = source.items

    def listing():  # type: ignore[no-untyped-def]
        yield from list(items())
        seaweedfs.client().delete_object(Bucket=bucket, Key="in/000")
        seaweedfs.client().put_object(Bucket=bucket, Key="in/001", Body=b"other")

    object.__setattr__(source, "items", listing)
    folder = new_job(DirectoryStore(tmp_path), source)
    attempt(folder, source)
    check_account(folder)
    codes = {id_: row["error_code"] for id_, row in unsuccessful(folder).items()}
    assert codes == {"in/000": "not_found", "in/001": "changed_during_read"}
    result = attempt(folder, source)
    check_account(folder, {"in/001": b"other"})
    assert (result.counts.succeeded, result.counts.failed) == (3, 1)


def test_the_store_is_busy_or_breaks(moto: S3Server, fault_proxy: Proxied, tmp_path: Path) -> None:
    """A staging store that is busy, or whose answers are lost on the way, loses nothing and counts nothing twice."""
    root = tmp_path / "root"
    root.mkdir()
    for n in range(60):
        (root / f"{n:02d}").write_text(f"content {n}")
    proxy = fault_proxy(moto)
    store = S3Store(moto.new_bucket(), "s", endpoint_url=proxy.url, session=moto.session())
    source = FileSource(name="files", root=root)
    folder = new_job(store, source)
    for path in ("inventory", "segments", "ledger", "manifest", "errors", "result"):
        proxy.fail_next(1, 503, path=path, method="PUT|POST")
        proxy.lose_answer(1, path=path, method="PUT|POST")
    result = attempt(folder, source)
    proxy.clear()
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 60), result.message


def test_the_store_goes_down(moto: S3Server, fault_proxy: Proxied, tmp_path: Path) -> None:
    """An unreachable store ends the attempt with a StoreError; once it is back, the next start completes it."""
    root = tmp_path / "root"
    root.mkdir()
    for n in range(10):
        (root / f"{n:02d}").write_text(f"content {n}")
    proxy = fault_proxy(moto)
    store = S3Store(moto.new_bucket(), "s", endpoint_url=proxy.url, session=moto.session())
    source = FileSource(name="files", root=root)
    folder = new_job(store, source)
    number = claim_attempt(folder)
    assert number == 1
    proxy.down()
    with pytest.raises(StoreUnavailable):
        attempt(folder, source)
    proxy.up()
    result = attempt(folder, source)
    check_account(folder)
    assert (result.status, result.counts.succeeded) == (JobStatus.SUCCESSFULLY_COMPLETED, 10)
