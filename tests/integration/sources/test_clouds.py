"""The contract of sources, for Google Cloud Storage and Azure Blob Storage."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryFile
from typing import ClassVar, cast
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from azure.storage.blob import AccessPolicy, ContainerSasPermissions, generate_container_sas

from prefect_collect.blocks import DataSource, ObjectStoreSource
from prefect_collect.collecting import shard
from prefect_collect.connectors.s3 import asking
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item, ListingEnd
from prefect_collect.sources.listing import items_of
from prefect_collect.statuses import JobStatus
from prefect_collect.threads.retry_policy import RetryPolicy
from tests.integration.cloud_servers import ACCOUNT, KEY, Azurite, GcsServer, gcs_server
from tests.integration.faults import FaultProxy
from tests.integration.servers import free_port
from tests.integration.sources.contract import BreakingContract, SourceContract
from tests.integration.sources.dates import DatedPlace, DatesContract, RedatedPlace, http_date
from tests.integration.sources.places import Fault, Place, collected, failures, patterned, read
from tests.integration.sources.proxied import ProxiedPlace
from tests.support.run_attempts import attempt, check_account, held, job_rows, unsuccessful

pytestmark = pytest.mark.integration


class Bucket(ProxiedPlace):
    """A bucket, which its test fills by plain requests: the services' libraries take ten times the processor time."""

    many = 200
    restarted = 4
    lists: ClassVar[str]
    """What the path of a request for a page of the listing holds."""
    keeps: ClassVar[set[str]]
    """The checksums that the cloud keeps of an object that is uploaded whole."""

    def __init__(self, url: str, proxy: FaultProxy | None) -> None:
        self.proxy = proxy
        self._http = HTTPConnection(urlsplit(url).netloc)

    @abstractmethod
    def source(self) -> ObjectStoreSource:
        """Return the source of the bucket, through the proxy if there is one."""

    def send(self, method: str, path: str, data: bytes = b"", **headers: str) -> None:
        """Send a request to the server itself."""
        self._http.request(method, path, data, {name.replace("_", "-"): text for name, text in headers.items()})
        answer = self._http.getresponse()
        text = answer.read()
        assert answer.status < 300, (answer.status, text)

    def cause(self, fault: Fault, proxy: FaultProxy) -> None:
        """Cause a fault between the source and the server."""
        if fault == "listing":
            proxy.truncate_next(path=self.lists)
        else:
            super().cause(fault, proxy)


class Google(Bucket):
    """A bucket of fake-gcs-server."""

    lists = "list-type="
    keeps: ClassVar = {"md5", "crc32c"}

    def __init__(self, server: GcsServer, proxy: FaultProxy | None = None, root: Path | None = None) -> None:
        super().__init__(server.url, proxy)
        self.server, self.bucket, self.root = server, server.new_bucket(), root

    def source(self) -> ObjectStoreSource:
        """Return the source."""
        return ObjectStoreSource(
            name="place", url=f"gs://{self.bucket}", endpoint_url=self.server.url, read_timeout=10, anonymous=True
        )

    def put(self, name: str, data: bytes) -> None:
        """Upload an object."""
        self.send("POST", f"/upload/storage/v1/b/{self.bucket}/o?uploadType=media&name={quote(name, safe='')}", data)

    def remove(self, name: str) -> None:
        """Delete an object."""
        self.send("DELETE", f"/storage/v1/b/{self.bucket}/o/{quote(name, safe='')}")

    def put_huge(self, name: str, size: int) -> None:
        """Upload a small object, and make a sparse file of it: the server would hold what is uploaded in memory."""
        assert self.root is not None
        self.put(name, b"\0")
        with (self.root / self.bucket / name).open("r+b") as file:
            file.truncate(size)

    def cause(self, fault: Fault, proxy: FaultProxy) -> None:
        """Cause a fault between the source and the server, which itself checks no token."""
        if fault == "credentials":
            proxy.fail_next(1_000_000, status=401, code="AuthenticationRequired")
        else:
            super().cause(fault, proxy)


class Azure(Bucket):
    """A container of Azurite, which the source reads by a shared access signature under a policy."""

    refused = frozenset({"back\\slash"})  # Azure makes a slash of it

    lists = "comp=list"
    keeps: ClassVar = {"md5"}

    def __init__(self, server: Azurite, proxy: FaultProxy | None = None) -> None:
        super().__init__(server.url, proxy)
        self.server, self.container = server, server.new_container()
        later = datetime.now(UTC) + timedelta(hours=3)
        reads = AccessPolicy(permission="rl", expiry=later)
        self.client = server.service.get_container_client(self.container)
        self.policies = {"reads": reads}
        self.client.set_container_access_policy(self.policies)
        self.signature = generate_container_sas(ACCOUNT, self.container, KEY, policy_id="reads")
        everything = ContainerSasPermissions(write=True, create=True, delete=True)
        self.own = generate_container_sas(ACCOUNT, self.container, KEY, permission=everything, expiry=later)

    def source(self) -> ObjectStoreSource:
        """Return the source."""
        url = self.server.url if self.proxy is None else self.server.at(self.proxy.url).url
        secret = f"BlobEndpoint={url};SharedAccessSignature={self.signature}"
        return ObjectStoreSource.model_validate(
            {"name": "place", "url": f"az://{self.container}", "secret": secret, "read_timeout": 10}
        )

    def put(self, name: str, data: bytes) -> None:
        """Upload a blob."""
        self.send("PUT", self._path(name), data, x_ms_blob_type="BlockBlob")

    def remove(self, name: str) -> None:
        """Delete a blob."""
        self.send("DELETE", self._path(name))

    def put_huge(self, name: str, size: int) -> None:
        """Upload a blob in blocks."""
        with TemporaryFile() as zeros:
            zeros.truncate(size)
            self.client.upload_blob(name, zeros, length=size)

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Cause a fault; one of the credentials is that the policy of the signature is taken back."""
        if fault != "credentials":
            with super().broken(fault):
                yield
            return
        self.client.set_container_access_policy({})
        try:
            yield
        finally:
            self.client.set_container_access_policy(self.policies)

    def _path(self, name: str) -> str:
        return f"/{ACCOUNT}/{self.container}/{quote(name)}?{self.own}"


class OfClouds(SourceContract):
    """The contract, and keys that are no paths."""

    def test_odd_keys(self, place: Place, tmp_path: Path) -> None:
        """Objects whose keys are no paths are collected under their own keys, below every prefix; none for another."""
        odd = {"/a", "a/", "a//b", "a/../c", "./d", "//", "new\nline"}
        for name in {"a", "a/b", "c", "d", *odd}:
            place.put(name, name.encode())
        folder, status = collected(tmp_path, place.source())
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        assert {row["item_id"]: row["sha256"] for row in held(folder).values()} == {
            name: sha256(name.encode()).digest() for name in {"a", "a/b", "c", "d", *odd}
        }
        source = cast("ObjectStoreSource", place.source())
        for prefix, below in {"/a": {"/a"}, "a/": {"a/", "a/b", "a//b", "a/../c"}, "a//": {"a//b"}}.items():
            part = source.model_copy(update={"url": f"{source.url}/{prefix}"})
            assert {item.id for item in items_of(part)} == below
            for item in items_of(part):
                assert read(source, item) == item.id.encode()
                assert [again.size for again in source.relist(item)] == [len(item.id)]

    def test_folder_markers(self, place: Place, tmp_path: Path) -> None:
        """A folder marker is skipped, also beside an object with its name; what lies in the folder is collected.

        So is an empty object.
        """
        for name, data in {
            "folder/": b"",
            "folder/in": b"x",
            "empty": b"",
            "logs": b"y",
            "logs.1": b"z",
            "logs/": b"",
        }.items():
            place.put(name, data)
        folder, status = collected(tmp_path, place.source())
        assert status is JobStatus.SUCCESSFULLY_COMPLETED
        assert {row["original_path"] for row in held(folder).values()} == {"folder/in", "empty", "logs", "logs.1"}
        assert [row["error_code"] for row in unsuccessful(folder).values()] == ["empty_folder"] * 2


class OfBreakingClouds(BreakingContract):
    """The contract, and what a server refuses."""

    def test_an_empty_object_that_is_refused(self, place: Place, tmp_path: Path) -> None:
        """An object of 0 bytes that may not be read fails by itself, and does not end the listing."""
        assert isinstance(place, Bucket)
        assert place.proxy is not None
        for name in ("denied", "empty"):
            place.put(name, b"")
        place.proxy.clear()
        place.proxy.fail_next(100, 403, "AccessDenied", path="/denied")
        folder, _ = collected(tmp_path, place.source())
        place.proxy.clear()
        assert job_rows(folder) == []
        assert {row["original_path"] for row in held(folder).values()} == {"empty"}
        assert {name: row["error_code"] for name, row in unsuccessful(folder).items()} == {"denied": "access_denied"}

    def test_a_byte_that_is_damaged_on_the_way(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The checksums that the cloud keeps are compared with what arrives, small or streamed; a retry is whole."""
        assert isinstance(place, Bucket)
        assert place.proxy is not None
        monkeypatch.setattr(shard, "LARGE_ITEM", 1 << 20)
        objects = {"small": patterned(5_000), "large": patterned(1_100_000), "empty": b""}
        for name, data in objects.items():
            place.put(name, data)
        source = place.source()
        assert {name: self.stated(source, name) for name in objects} == dict.fromkeys(objects, place.keeps)
        damaged = lambda path, body: body if place.lists in path else body[:-1] + bytes(255 - n for n in body[-1:])  # noqa: E731
        monkeypatch.setattr(place.proxy, "rewrite", damaged)
        folder, status = collected(tmp_path, source)
        assert status is JobStatus.PARTIALLY_COMPLETED
        assert failures(folder) == {"checksum_mismatch"}
        assert {row["original_path"] for row in held(folder).values()} == {"empty"}
        monkeypatch.setattr(place.proxy, "rewrite", None)
        assert attempt(folder, place.source()).status is JobStatus.SUCCESSFULLY_COMPLETED
        check_account(folder, objects)

    def stated(self, source: DataSource, name: str) -> set[str]:
        """Return which checksums are stated of an opened object."""
        with source.open(Item(name, name)) as content:
            return {kind for kind in ("md5", "crc32c") if getattr(content, kind) is not None}


class TestGoogle(OfClouds):
    """A bucket of Google Cloud Storage keeps the contract."""

    @pytest.fixture
    def place(self, gcs: GcsServer) -> Place:
        """An empty bucket."""
        return Google(gcs)

    @pytest.fixture
    def roomy(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
        """An empty bucket on disk."""
        root = tmp_path_factory.mktemp("gcs")
        with gcs_server(root, on_disk=True) as server:
            yield Google(server, root=root)


@pytest.fixture(scope="module")
def before_google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """A proxy that breaks, before a server that answers to the proxy's name alone."""
    port = free_port()
    with FaultProxy(f"http://127.0.0.1:{port}") as proxy:
        public = urlsplit(proxy.url).netloc
        with gcs_server(tmp_path_factory.mktemp("gcs"), public=public, port=port):
            yield proxy


class TestBreakingGoogle(OfBreakingClouds):
    """A bucket of Google Cloud Storage keeps the contract where its connections break."""

    @pytest.fixture
    def place(self, before_google: FaultProxy) -> Place:
        """An empty bucket behind the proxy."""
        return Google(GcsServer(before_google.url), before_google)

    def test_a_listing_of_several_pages(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every page of a listing is asked for, each once; one that ends within a page is not complete.

        The server has no pages, so that the proxy makes them of its answer.
        """
        assert isinstance(place, Bucket)
        proxy = place.proxy
        assert proxy is not None
        monkeypatch.setattr(asking, "_RETRY", RetryPolicy(tries=2, wait_initial=0.001))
        for number in range(10):
            place.put(f"k{number}", b"x")
        monkeypatch.setattr(proxy, "rewrite", paged)
        proxy.clear()
        listed = [*place.source().items()]
        assert [item.id for item in listed if isinstance(item, Item)] == [f"k{number}" for number in range(10)]
        assert listed[-1] == ListingEnd("page 4 names no next page, and the KeyCount of every page agrees", items=10)
        assert proxy.count("GET", "list-type=2") == 4
        came: list[str] = []
        proxy.truncate_next(100, path="continuation-token=6")
        with pytest.raises(SourceError, match="no proven page of the listing") as caught:
            came.extend(item.id for item in items_of(place.source()))
        assert caught.value.code == "enumeration_failed"
        assert came == [f"k{number}" for number in range(6)]
        proxy.clear()
        short = lambda path, body: paged(path, body).replace(b"<KeyCount>3", b"<KeyCount>2")  # noqa: E731
        monkeypatch.setattr(proxy, "rewrite", short)
        with pytest.raises(SourceError, match="states 2 keys"):
            [*items_of(place.source())]


def paged(path: str, body: bytes) -> bytes:
    """Make a page of three objects of a listing, as Google's server does with a thousand."""
    if "list-type=2" not in path:
        return body
    objects = re.findall(rb"<Contents>.*?</Contents>", body)
    start = int(parse_qs(urlsplit(path).query).get("continuation-token", ["0"])[0])
    some, more = objects[start : start + 3], start + 3 < len(objects)
    head = re.sub(rb"<KeyCount>\d+", b"<KeyCount>%d" % len(some), body[: body.index(b"<Contents>")])
    token = b"<NextContinuationToken>%d</NextContinuationToken>" % (start + 3) if more else b""
    flag = b"<IsTruncated>%b</IsTruncated>" % (b"true" if more else b"false")
    return head + flag + token + b"".join(some) + b"</ListBucketResult>"


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


SENT = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


class DatedGoogle(RedatedPlace, Google):
    """A bucket behind a proxy that gives its objects their dates."""

    of = ("Contents", "Key", "LastModified")

    def odd_dates(self) -> Iterable[tuple[str | None, str | None, datetime | None]]:
        """Return dates of a listing in other forms, and none; Google's server sends a date in each header."""
        return [(listed, http_date(at or SENT), at) for listed, _, at in super().odd_dates()]


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


class TestGoogleDates(DatesContract):
    """A bucket of Google Cloud Storage keeps the contract of dates."""

    @pytest.fixture
    def dated(self, before_google: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> DatedPlace:
        """An empty bucket behind the proxy."""
        for name in ("rewrite", "restate"):
            monkeypatch.setattr(before_google, name, None)
        return DatedGoogle(GcsServer(before_google.url), before_google)


class TestAzureDates(DatesContract):
    """A container of Azure keeps the contract of dates."""

    @pytest.fixture
    def dated(self, azure: Azurite) -> Iterator[DatedPlace]:
        """An empty container behind a proxy."""
        with FaultProxy(azure.url) as proxy:
            yield DatedAzure(azure, proxy)
