"""Sources of Google's and Azure's buckets for the tests, and a server that keeps how their requests are signed."""

from __future__ import annotations

import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs

from prefect_collect.blocks import ObjectStoreSource
from tests.support.local_http import answer_json

_NUMBERS = count()
PACKED = gzip.compress(b"text " * 1000)


def source_of(url: str, **more: Any) -> ObjectStoreSource:
    """Return a source with a connection that no other test has made."""
    return ObjectStoreSource.model_validate({"url": url, "read_timeout": 20 + next(_NUMBERS) / 1_000, **more})


class Authorized(ThreadingHTTPServer):
    """A bucket of both clouds, which keeps the Authorization of each request; and Azure's servers of tokens.

    It lists nothing, and has one object, ``packed``, which it unpacks as Google does. Listings are compressed for who
    takes them so. The token is called after what is given for it.

    Attributes:
        seen: The headers.
        given: How many tokens were given.
        asked: What was sent for each.
        are_refused: The credentials for tokens are refused.
        hangs: A request for a token is not answered until it is `released`; `is_asked` tells of the first.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        self.asked: list[dict[str, list[str]]] = []
        self.given, self.are_refused, self.hangs = 0, False, False
        self.is_asked, self.released = threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that was closed."""


class _Handler(BaseHTTPRequestHandler):
    server: Authorized

    def do_GET(self) -> None:
        if self.path.startswith("/identity?"):
            self._give("managed", {})
            return
        if self.path.endswith("/openid-configuration"):
            url = f"https://127.0.0.1:{self.server.server_port}/adfs/oauth2"
            answer_json(
                self, 200, json.dumps({f"{n}_endpoint": f"{url}/{n}" for n in ("authorization", "token")}).encode()
            )
            return
        self.server.seen.append(self.headers["Authorization"])
        if self.path.endswith("/packed"):
            answer_json(self, 200, PACKED if "gzip" in self.headers["Accept-Encoding"] else gzip.decompress(PACKED))
        elif "comp=list" in self.path:
            answer_json(self, 200, b"<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>")
        else:
            page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
            answer_json(self, 200, gzip.compress(page) if "gzip" in self.headers.get("Accept-Encoding", "") else page)

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._give("secret" if "client_secret" in sent else "workload", sent)

    def _give(self, name: str, sent: dict[str, list[str]]) -> None:
        if self.server.hangs:
            self.server.is_asked.set()
            self.server.released.wait()
        if self.server.are_refused:
            answer_json(self, 401, b'{"error": "invalid_client", "error_description": "invalid_client"}')
            return
        self.server.asked.append(sent)
        self.server.given += 1
        token = {
            "access_token": name,
            "token_type": "Bearer",
            "expires_in": 3600,
            "expires_on": int(time.time()) + 3600,
        }
        answer_json(self, 200, json.dumps(token).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""
