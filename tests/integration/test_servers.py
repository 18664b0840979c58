"""The servers and the proxy that the other integration tests use."""

from __future__ import annotations

from collections.abc import Callable

import botocore.config
import botocore.exceptions
import pytest

from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("name", ["seaweedfs", "moto", "rclone"])
def test_server_stores(name: str, request: pytest.FixtureRequest) -> None:
    """Each server starts, and returns the bytes that were put."""
    server: S3Server = request.getfixturevalue(name)
    bucket = server.new_bucket()
    server.client().put_object(Bucket=bucket, Key="a/b c", Body=b"hello")
    assert server.client().get_object(Bucket=bucket, Key="a/b c")["Body"].read() == b"hello"


@pytest.mark.parametrize("name", ["seaweedfs", "rclone"])
def test_server_checks_signatures(name: str, request: pytest.FixtureRequest) -> None:
    """A wrong secret is refused, so that tests of wrong credentials can use these servers."""
    server: S3Server = request.getfixturevalue(name)
    wrong = S3Server(server.name, server.url, secret_key="wrong")
    with pytest.raises(botocore.exceptions.ClientError, match="Signature"):
        wrong.new_bucket()


def test_proxy_passes_on(seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> None:
    """Without faults the proxy changes nothing, and counts requests and bytes."""
    proxy = fault_proxy(seaweedfs)
    client = seaweedfs.at(proxy.url).client()
    bucket = seaweedfs.new_bucket()
    data = bytes(range(256)) * 1000
    client.put_object(Bucket=bucket, Key="k", Body=data)
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == data
    assert proxy.count("PUT", "/k") == 1
    assert proxy.bytes_up >= len(data)
    assert proxy.bytes_down == len(data)


def test_proxy_faults(seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> None:
    """Each fault hits as many requests as set, and the next request passes."""
    proxy = fault_proxy(seaweedfs)
    config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    client = seaweedfs.session().client("s3", endpoint_url=proxy.url, config=config)
    bucket = seaweedfs.new_bucket()
    client.put_object(Bucket=bucket, Key="k", Body=b"x" * 1000)

    proxy.fail_next(1, method="GET")
    with pytest.raises(botocore.exceptions.ClientError, match="SlowDown"):
        client.get_object(Bucket=bucket, Key="k")
    proxy.truncate_next(1, keep=10)
    with pytest.raises((botocore.exceptions.ResponseStreamingError, botocore.exceptions.IncompleteReadError)):
        client.get_object(Bucket=bucket, Key="k")["Body"].read()
    proxy.drop_next(1, path="/k")
    with pytest.raises(botocore.exceptions.HTTPClientError):
        client.get_object(Bucket=bucket, Key="k")
    proxy.lose_answer(1, method="PUT")
    with pytest.raises(botocore.exceptions.HTTPClientError):
        client.put_object(Bucket=bucket, Key="lost", Body=b"there")
    assert client.get_object(Bucket=bucket, Key="lost")["Body"].read() == b"there"
    proxy.down()
    with pytest.raises(botocore.exceptions.EndpointConnectionError):
        client.get_object(Bucket=bucket, Key="k")
    proxy.up()
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x" * 1000
