"""The contract of sources, for Azure Blob Storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import pytest

from prefect_collect.sources.listing import items_of
from tests.integration.cloud_servers import Azurite
from tests.integration.faults import FaultProxy
from tests.integration.sources.cloud_contract import OfBreakingClouds, OfClouds
from tests.integration.sources.clouds import Azure
from tests.integration.sources.dates import SENT, DatedPlace, DatesContract, RedatedPlace, http_date
from tests.integration.sources.places import Place

pytestmark = pytest.mark.integration


class TestAzure(OfClouds):
    """A container of Azure Blob Storage keeps the contract."""

    @pytest.fixture
    def place(self, azure: Azurite) -> Place:
        """An empty container."""
        return Azure(azure)

    def test_times_of_creation(self, azure: Azurite) -> None:
        """A blob's Creation-Time is listed as it is stated, and stays when the blob's metadata are changed later."""
        place = Azure(azure)
        place.put("a", b"a")
        place.client.get_blob_client("a").set_blob_metadata({"x": "y"})
        [item] = items_of(place.source())
        stated = place.client.get_blob_client("a").get_blob_properties()
        assert (item.created, item.modified) == (stated.creation_time, stated.last_modified)


class TestBreakingAzure(OfBreakingClouds):
    """A container keeps the contract where its connections break, and where its signature is taken back."""

    @pytest.fixture
    def place(self, azure: Azurite) -> Iterator[Place]:
        """An empty container behind a proxy that breaks."""
        with FaultProxy(azure.url) as proxy:
            yield Azure(azure, proxy)


class DatedAzure(RedatedPlace, Azure):
    """A container behind a proxy that gives its blobs their dates, which have the form of HTTP."""

    of = ("Blob", "Name", "Last-Modified")

    def put_dated(self, name: str, at: datetime) -> dict[str, datetime | None]:
        """Upload a blob with that time."""
        return self.put_stated(name, http_date(at), http_date(at), at.replace(microsecond=0))

    def odd_dates(self) -> Iterable[tuple[str | None, str | None, datetime | None]]:
        """Return dates in other forms, and none."""
        listed = {
            None: None, "": None, "yesterday": None, http_date(SENT): SENT, "Sun, 06 Nov 1994 08:49:37 CET": None,
            "Sun, 06 Nov 1994 10:49:37 +0200": SENT,
        }  # fmt: skip
        return [(text, http_date(SENT), at) for text, at in listed.items()]


class TestAzureDates(DatesContract):
    """A container of Azure keeps the contract of dates."""

    @pytest.fixture
    def dated(self, azure: Azurite) -> Iterator[DatedPlace]:
        """An empty container behind a proxy."""
        with FaultProxy(azure.url) as proxy:
            yield DatedAzure(azure, proxy)
