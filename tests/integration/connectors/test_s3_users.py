"""Setups of S3 that users have: buckets in the host name only, access points, buckets with requester pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_collect.blocks import ObjectStoreSource, S3StoreBlock
from prefect_collect.errors import InvalidLocation, SourceError, StoreError
from prefect_collect.packages import verify
from prefect_collect.sources import Content, Item
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.stores import S3Store, Store, open_store
from tests.integration.host_style import AWS, ENDPOINT, HostStyle
from tests.integration.servers import DOMAIN, S3Server
from tests.support.run_attempts import attempt, check_account, export, held, new_job

pytestmark = pytest.mark.integration

ARN = "arn:aws:s3:us-east-1:123456789012:accesspoint/mails"
Configure = Callable[[str], None]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """A function that writes the user's ~/.aws/config."""
    config = tmp_path / "aws-config"
    config.write_text("[default]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    return lambda text: (config.write_text(text), None)[1]


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch, configure: Configure) -> Iterator[Callable[[S3Server], HostStyle]]:
    """A function that makes this process use a server through a `HostStyle`, with its keys in the environment."""
    opened: list[HostStyle] = []

    def lead(server: S3Server) -> HostStyle:
        proxy = HostStyle(server).__enter__()
        opened.append(proxy)
        for name, value in {**server.environment(), "AWS_ENDPOINT_URL": ENDPOINT, "http_proxy": proxy.url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        return proxy

    yield lead
    for proxy in opened:
        proxy.__exit__()


VIRTUAL = "[default]\ns3 =\n  addressing_style = virtual\n"


def filled(server: S3Server) -> str:
    """Create a bucket with three objects, one of them large; return its name."""
    bucket = server.new_bucket()
    for key, size in (("in/a b+c", 3), ("in/é", 4), ("in/large", 1 << 20)):
        server.client().put_object(Bucket=bucket, Key=key, Body=b"x" * size)
    return bucket


def read_all(source: ObjectStoreSource) -> dict[str, int]:
    """Return every item's size, which `read_many`, `open` and a HEAD must agree on."""
    items = list(items_of(source))
    sizes = {}
    for item, got in source.read_many(items, 2):
        assert isinstance(got, Content), got
        sizes[item.id] = sum(map(len, got.chunks))
        with source.open(item) as content:
            assert sum(map(len, content.chunks)) == sizes[item.id]
        assert [now.size for now in source.relist(item) if isinstance(now, Item)] == [sizes[item.id]]
    return sizes


def journey(source: ObjectStoreSource, store: Store, destination: Store) -> None:
    """Collect and export, and check that the package is complete."""
    folder = new_job(store, source)
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)
    assert len(held(folder)) == 3
    _, result = export(folder, destination)
    assert result.package is not None
    assert verify(result.package.rpartition("/")[2], store=destination).problems == []


def test_buckets_in_the_host_name(
    seaweedfs: S3Server, through: Callable[[S3Server], HostStyle], configure: Configure
) -> None:
    """A server that accepts buckets only in the host name, and checks signatures, is source, staging store and
    destination."""
    proxy, bucket = through(seaweedfs), filled(seaweedfs)
    configure(VIRTUAL)
    source = ObjectStoreSource(url=f"s3://{bucket}/in/")
    assert read_all(source) == {"in/a b+c": 3, "in/é": 4, "in/large": 1 << 20}
    store = open_store(f"s3://{bucket}/jobs")
    store.require_exclusive_creates()
    folder = new_job(store, source)
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)
    _, result = export(folder, open_store(f"s3://{bucket}/out"))
    assert result.package is not None
    assert verify(result.package).problems == []
    assert proxy.hosts == {f"{bucket}.{DOMAIN}"}


def test_a_server_that_wants_another_style(
    seaweedfs: S3Server, through: Callable[[S3Server], HostStyle], configure: Configure
) -> None:
    """The error of a wrong addressing style names the setting that may help, for sources and stores, both ways."""
    proxy, bucket = through(seaweedfs), filled(seaweedfs)
    for uses in (
        lambda: list(ObjectStoreSource(url=f"s3://{bucket}").items()),
        lambda: next(open_store(f"s3://{bucket}").list()),
    ):
        with pytest.raises((SourceError, StoreError), match="set addressing_style = virtual under s3 in"):
            uses()
    configure(VIRTUAL)
    proxy.__exit__()
    for uses in (lambda: list(ObjectStoreSource(url=f"s3://{bucket}", endpoint_url="http://s3.invalid").items()),):
        with pytest.raises((SourceError, StoreError), match="set addressing_style = path"):
            uses()


def test_requesters_that_pay(
    seaweedfs: S3Server, through: Callable[[S3Server], HostStyle], configure: Configure
) -> None:
    """Every request of a source and of a store states, signed, that the requester pays.

    Without it they are refused, and AWS's error gets a hint; other servers do not have requester pays.
    """
    proxy, bucket = through(seaweedfs), filled(seaweedfs)
    configure(VIRTUAL)
    proxy.payers.add(bucket)
    aws = f"http://{AWS}"
    for endpoint, is_named in ((None, False), (aws, True)):
        with pytest.raises(SourceError, match="403 AccessDenied") as refused:
            list(ObjectStoreSource(url=f"s3://{bucket}/in/", endpoint_url=endpoint, region="us-east-1").items())
        assert ("set request_payer (--request-payer)" in str(refused.value)) == is_named
    with pytest.raises(StoreError, match=r"set request_payer \(--request-payer\)"):
        next(open_store(f"s3://{bucket}/jobs", endpoint_url=aws).list())
    source = ObjectStoreSource(url=f"s3://{bucket}/in/", request_payer=True)
    assert len(read_all(source)) == 3
    store = S3StoreBlock(bucket=bucket, prefix="jobs", request_payer=True).store()
    journey(source, store, S3StoreBlock(bucket=bucket, prefix="out", request_payer=True).store())


def test_access_points(moto: S3Server, through: Callable[[S3Server], HostStyle]) -> None:
    """An access point's ARN stands for its bucket: as source, staging store and destination."""
    proxy, bucket = through(moto), filled(moto)
    proxy.renamed["mails-123456789012"] = bucket
    source = ObjectStoreSource(url=f"s3://{ARN}/in/")
    assert source.location() == f"s3://{ARN}/in/"
    assert read_all(source) == {"in/a b+c": 3, "in/é": 4, "in/large": 1 << 20}
    store = open_store(f"s3://{ARN}/jobs")
    assert store.url == f"s3://{ARN}/jobs"
    journey(source, store, open_store(f"s3://{ARN}/out"))
    assert proxy.hosts == {f"mails-123456789012.{DOMAIN}"}


def test_the_arn_of_a_bucket_is_the_bucket(moto: S3Server, through: Callable[[S3Server], HostStyle]) -> None:
    """``arn:aws:s3:::bucket`` means the bucket with that name."""
    store = open_store("s3://arn:aws:s3:::some-bucket/a/b")
    assert isinstance(store, S3Store)
    assert (store.bucket, store.prefix) == ("some-bucket", "a/b")


@pytest.mark.parametrize(
    ("bucket", "why"),
    [
        ("name--use1-az4--x-s3", "S3 Express"),
        ("arn:aws:s3express:us-east-1:123456789012:bucket/name--use1-az4--x-s3", "S3 Express"),
        ("arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-1/accesspoint/x", "Outposts"),
        ("alias--op-s3", "Outposts"),
        ("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "SigV4A"),
        ("arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/x", "Object Lambda"),
        ("arn:aws:iam::123456789012:role/x", "must name a bucket, or the ARN of an access point"),
        ("arn:aws:s3:us-east-1:12:accesspoint/x", "must name a bucket, or the ARN of an access point"),
    ],
)
def test_kinds_that_are_not_supported(bucket: str, why: str) -> None:
    """An unsupported kind of bucket is refused, as source and as store, and the message names the kind."""
    for use in (lambda: ObjectStoreSource(url=f"s3://{bucket}/prefix"), lambda: open_store(f"s3://{bucket}/prefix")):
        with pytest.raises(InvalidLocation, match=why):
            use()


def test_payers_have_credentials() -> None:
    """request_payer is refused for anonymous sources, whose requests are unsigned, and for other clouds."""
    for fields in ({"anonymous": True}, {"url": "gs://bucket"}):
        with pytest.raises(InvalidLocation, match="request_payer is for s3://"):
            ObjectStoreSource.model_validate({"url": "s3://bucket", "request_payer": True, **fields})
