"""Buckets of Google Cloud Storage and containers of Azure Blob Storage, as places of the contract of sources."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryFile
from typing import ClassVar
from urllib.parse import quote, urlsplit

from azure.storage.blob import AccessPolicy, ContainerSasPermissions, generate_container_sas

from prefect_collect.blocks import ObjectStoreSource
from tests.integration.cloud_servers import ACCOUNT, KEY, Azurite, GcsServer
from tests.integration.faults import FaultProxy
from tests.integration.sources.places import Fault
from tests.integration.sources.proxied import ProxiedPlace


class Bucket(ProxiedPlace):
    """A bucket, which its test fills by plain requests: the services' libraries take ten times the processor time."""

    many = 200
    restarted = 4
    lists: ClassVar[str]
    """What the path of a request for a page of the listing holds."""
    keeps: ClassVar[set[str]]
    """The checksums that are compared of an object that is uploaded whole."""

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
    keeps: ClassVar = {"crc32c"}

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
