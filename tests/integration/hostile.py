"""A small object store over HTTP that answers correctly, except where a test sets another answer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, cast
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
WHEN = 1_700_000_000


@dataclass
class Reply:
    """An answer: a whole body, or an endless one of repeated `forever`, with `pause` seconds in between.

    `length` is the Content-Length if it differs from the body's; None: the body is sent in chunks.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = -1
    forever: bytes = b""
    pause: float = 0.0


Hook = Callable[[int, dict[str, str]], "Reply | None"]


class HostileStore:
    """A server of one bucket, `bucket`, as on S3 (and of its listing as on Google Storage, which has the same XML).

    `listing` is called before each page with the number of the request (from 1) and its query, `getting` before each
    GET of an object with its key; the answer that they return replaces the correct one. `etags` are, by key, the ETags
    in listings that are not the objects' MD5. Use it as a context manager.
    """

    def __init__(self, objects: dict[str, bytes], *, page: int = 2, key_count: bool = True) -> None:
        self.page = page
        self.key_count = key_count
        self.gone = threading.Event()
        self.lock = threading.Lock()
        self.be_honest(objects)
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def be_honest(self, objects: dict[str, bytes]) -> None:
        """Have these objects, answer correctly from now on, and end the answers without end."""
        self.gone.set()
        self.gone = threading.Event()
        self.objects = objects
        self.etags: dict[str, str] = {}
        self.listing: Hook = lambda number, query: None
        self.getting: Callable[[str, Reply], Reply] = lambda key, honest: honest
        self.pages_asked = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gone.set()
        self._server.shutdown()
        self._server.server_close()

    def page_of(self, keys: list[str], *, token: str | None = None, **other: str | None) -> bytes:
        """Return a page with these objects; `token` leads to the next. `other` sets or (None) leaves out elements."""
        fields: dict[str, str | None] = {
            "Name": "bucket",
            "Prefix": "",
            "MaxKeys": str(self.page),
            "EncodingType": "url",
            "KeyCount": str(len(keys)) if self.key_count else None,
            "IsTruncated": "false" if token is None else "true",
            "NextContinuationToken": token,
        } | other
        head = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items() if value is not None)
        is_encoded = fields["EncodingType"] == "url"
        entries = "".join(
            f"<Contents><Key>{escape(quote(key) if is_encoded else key)}</Key>"
            f"<LastModified>2023-11-14T22:13:20.000Z</LastModified>"
            f"<ETag>&quot;{self.etags.get(key, md5(data))}&quot;</ETag>"
            f"<Size>{len(data)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for key, data in ((key, self.objects.get(key, b"")) for key in keys)
        )
        document = f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{SPACE}">{head}{entries}'
        return f"{document}</ListBucketResult>".encode()

    def honest_page(self, query: dict[str, str]) -> Reply:
        """Return the correct page for a query."""
        keys = sorted(key for key in self.objects if key.startswith(query.get("prefix", "")))
        after = query.get("start-after") or ""
        start = int(query.get("continuation-token") or sum(key <= after for key in keys))
        rest = keys[start:]
        token = str(start + self.page) if len(rest) > self.page else None
        return Reply(self.page_of(rest[: self.page], token=token, Prefix=quote(query.get("prefix", ""))))

    def honest_object(self, key: str) -> Reply:
        """Return the correct answer for an object."""
        data = self.objects.get(key)
        if data is None:
            return Reply(b"<Error><Code>NoSuchKey</Code><Message>None.</Message></Error>", 404)
        return Reply(data, headers={"ETag": f'"{md5(data)}"', "Last-Modified": formatdate(WHEN, usegmt=True)})

    def answer(self, path: str) -> Reply:
        """Return the answer to a GET or a HEAD."""
        address = urlsplit(path)
        key = unquote(address.path).removeprefix("/bucket").removeprefix("/")
        if key:
            return self.getting(key, self.honest_object(key))
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        with self.lock:
            self.pages_asked += 1
            number = self.pages_asked
        return self.listing(number, query) or self.honest_page(query)


def md5(data: bytes) -> str:
    """Return the ETag of an object that was uploaded in one part."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, store: HostileStore) -> None:
        self.store = store
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up, as tests cause them."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        store = cast(_Server, self.server).store
        gone = store.gone
        reply = store.answer(self.path)
        is_chunked = reply.length is None or bool(reply.forever)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(reply.body) if reply.length == -1 else reply.length))
        self.end_headers()
        if self.command == "HEAD":
            return
        with suppress(OSError):
            self._send(reply.body, is_chunked=is_chunked)
            while reply.forever and not gone.is_set():
                self._send(reply.forever, is_chunked=True)
                gone.wait(reply.pause)
            if is_chunked:
                self.wfile.write(b"0\r\n\r\n")
        if reply.length not in (None, -1) or reply.forever:
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815

    def _send(self, data: bytes, *, is_chunked: bool) -> None:
        if data:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if is_chunked else data)
