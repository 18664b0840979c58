"""The contract of sources, for a bucket on S3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prefect_collect.blocks import DataSource
from tests.integration.connectors.test_s3 import source_at
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.integration.sources.contract import BreakingContract, Fault, Place, SourceContract
from tests.integration.sources.proxied import ProxiedPlace

pytestmark = pytest.mark.integration


class Bucket(ProxiedPlace):
    """A bucket of moto, whose pages have 100 keys."""

    many = 350
    refused = frozenset({"new\nline"})

    def __init__(self, server: S3Server, proxy: FaultProxy | None = None) -> None:
        self.server, self.proxy, self.bucket = server, proxy, server.new_bucket()

    def source(self) -> DataSource:
        """Return the source of the bucket, through the proxy if there is one."""
        server = self.server if self.proxy is None else self.server.at(self.proxy.url)
        return source_at(server, self.bucket, name="place", read_timeout=10)

    def put(self, name: str, data: bytes) -> None:
        """Put an object."""
        self.server.client().put_object(Bucket=self.bucket, Key=name, Body=data)

    def remove(self, name: str) -> None:
        """Delete an object."""
        self.server.client().delete_object(Bucket=self.bucket, Key=name)

    def cause(self, fault: Fault, proxy: FaultProxy) -> None:
        """Cause a fault between the source and the server."""
        if fault == "listing":
            proxy.truncate_next(path="continuation-token")
        elif fault == "credentials":
            proxy.fail_next(1_000_000, status=400, code="ExpiredToken")
        else:
            super().cause(fault, proxy)


class TestS3(SourceContract):
    """A bucket keeps the contract."""

    @pytest.fixture
    def place(self, moto: S3Server) -> Place:
        """An empty bucket."""
        return Bucket(moto)


class TestBreakingS3(BreakingContract):
    """A bucket keeps the contract where its connections break."""

    @pytest.fixture
    def place(self, moto: S3Server) -> Iterator[Place]:
        """An empty bucket behind a proxy that breaks."""
        with FaultProxy(moto.url) as proxy:
            yield Bucket(moto, proxy)
