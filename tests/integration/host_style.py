"""An HTTP proxy that acts as a server at `servers.DOMAIN` or as AWS: buckets in host names, requester pays, …"""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.integration.servers import DOMAIN, S3Server

ENDPOINT = f"http://{DOMAIN}"
"""The server's address for clients."""

AWS = "s3.us-east-1.amazonaws.com"
"""Another name of the server, which clients take for AWS."""


@dataclass
class HostStyle:
    """A forward proxy to `server` (set `http_proxy` to its `url`), which checks requests before it forwards them.

    A request with the bucket in the path gets the answer that there is no such bucket. `renamed` maps the first part of
    a host name to a bucket, which is then put into the path. A bucket in `payers` refuses requests that do not state,
    signed, that the requester pays. `hosts` are the requested hosts.
    """

    server: S3Server
    renamed: dict[str, str] = field(default_factory=dict)
    payers: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    url: str = ""

    def __enter__(self) -> HostStyle:
        proxy = self

        class Handler(_Handler):
            """The handler of requests to this proxy."""

            of = proxy

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: HostStyle

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _handle(self) -> None:
        asked = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host = asked.hostname or ""
        self.of.hosts.add(host)
        bucket = host.removesuffix(DOMAIN).removesuffix(AWS).rstrip(".")
        said = self.headers.get("Authorization", "")
        if not bucket:
            return self._refuse(404, "NoSuchBucket")
        pays = self.headers.get("x-amz-request-payer") == "requester" and "x-amz-request-payer" in said
        if bucket in self.of.payers and not pays:
            return self._refuse(403, "AccessDenied")
        path = f"{asked.path}?{asked.query}" if asked.query else asked.path
        if bucket in self.of.renamed:
            path = f"/{self.of.renamed[bucket]}{path}"
        target = urlsplit(self.of.server.url)
        upstream = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        skip = {"host"} if bucket in self.of.renamed else set()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in skip}
        upstream.request(self.command, path, body or None, headers)
        answer = upstream.getresponse()
        data = answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(data)
        upstream.close()
        return None

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815

    def _refuse(self, status: int, code: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
        body = b"" if self.command == "HEAD" else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
