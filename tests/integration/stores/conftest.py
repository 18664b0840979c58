"""A store of S3 behind a proxy that causes faults."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prefect_collect.stores import S3Store
from tests.integration.faults import FaultProxy
from tests.integration.servers import S3Server
from tests.integration.stores.s3_stores import store_at


@pytest.fixture
def proxy(seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy]) -> FaultProxy:
    """Return a proxy in front of SeaweedFS."""
    return fault_proxy(seaweedfs)


@pytest.fixture
def store(seaweedfs: S3Server, proxy: FaultProxy) -> S3Store:
    """Return a store behind the proxy."""
    return store_at(seaweedfs.at(proxy.url), seaweedfs.new_bucket())
