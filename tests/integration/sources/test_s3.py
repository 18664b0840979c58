"""The contract of sources, for a bucket on S3."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from prefect_collect.blocks import DataSource
from tests.integration.connectors.s3_sources import source_at
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.dates import DatedPlace, DatesContract, RedatedPlace
from tests.integration.sources.places import Fault, Place
from tests.integration.sources.proxied import ProxiedPlace

pytestmark = pytest.mark.integration
PART = 64 << 20


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

    def put_many(self, count: int) -> None:
        """Put objects, eight at a time."""
        client = self.server.client()

        def put(number: int) -> None:
            client.put_object(Bucket=self.bucket, Key=f"m/{number:05d}", Body=b"m/%05d" % number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, range(count)))

    def put_huge(self, name: str, size: int) -> None:
        """Upload an object in parts."""
        client, zeros = self.server.client(), bytes(PART)
        upload: dict[str, Any] = {"Bucket": self.bucket, "Key": name}
        upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
        parts = list[Any]()
        for number, at in enumerate(range(0, size, PART), 1):
            body = zeros[: min(PART, size - at)]
            etag = client.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

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


class Dated(RedatedPlace, Bucket):
    """A bucket behind a proxy that gives its objects their dates."""

    of = ("Contents", "Key", "LastModified")


class TestS3Dates(DatesContract):
    """A bucket keeps the contract of dates."""

    @pytest.fixture
    def dated(self, moto: S3Server) -> Iterator[DatedPlace]:
        """An empty bucket behind a proxy."""
        with FaultProxy(moto.url) as proxy:
            yield Dated(moto, proxy)


class TestS3(SourceContract):
    """A bucket keeps the contract."""

    @pytest.fixture
    def place(self, moto: S3Server) -> Place:
        """An empty bucket."""
        return Bucket(moto)

    @pytest.fixture
    def roomy(self, seaweedfs: S3Server) -> Iterator[Place]:
        """An empty bucket on disk: moto has what it holds in memory."""
        bucket = Bucket(seaweedfs)
        yield bucket
        bucket.remove("huge")


class TestBreakingS3(BreakingContract):
    """A bucket keeps the contract where its connections break."""

    @pytest.fixture
    def place(self, moto: S3Server) -> Iterator[Place]:
        """An empty bucket behind a proxy that breaks."""
        with FaultProxy(moto.url) as proxy:
            yield Bucket(moto, proxy)
