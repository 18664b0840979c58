"""Reading a large item as ranges: what comes of requests that cannot be made."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.engine import Answer, Limits
from prefect_collect.connectors.http.ranges import RangedStream
from prefect_collect.errors import SourceError
from tests.support.local_http import serving

DATA = bytes(range(256)) * (5 << 12)


class _Ranges(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Send the range that the URL names."""
        start, _, end = self.path[1:].partition("-")
        body = DATA[int(start) : int(end)]
        self.send_response(206)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class Tokens:
    """Asks a server for ranges, with tokens of which the first ones cannot be had, as the codes say."""

    def __init__(self, url: str, *codes: str) -> None:
        self._url, self.codes = url, [*codes]

    def prepare(self, start: int, end: int) -> tuple[str, list[str]]:
        """Return the request, or raise the error of the token."""
        if self.codes:
            raise source_error(self.codes.pop(0), "No token", "x://y")
        return f"{self._url}/{start}-{end}", []

    def require(self, answer: Answer, start: int) -> None:
        """Accept every answer."""

    def refusal(self, answer: Answer) -> SourceError:
        """Return some error."""
        return source_error("source_error", "refused", "x://y")

    def not_before(self) -> float:
        """Return a time that is over."""
        return 0.0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The server's address."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Ranges)) as address:
        yield address


def read(tokens: Tokens) -> bytes:
    """Return all the bytes."""
    stream = RangedStream(Limits(5, 5, None), 0, len(DATA), tokens, "x://y")
    try:
        stream.begin()
        return b"".join(stream.pieces())
    finally:
        stream.close()


def test_a_token_that_cannot_be_had_for_a_moment(url: str) -> None:
    """The range is asked for again, as after a break."""
    assert read(Tokens(url, "timeout", "connection_lost")) == DATA


def test_a_token_that_is_refused(url: str) -> None:
    """The error is that of the token, at once, and no other range is asked for."""
    tokens = Tokens(url, "bad_credentials", "timeout")
    with pytest.raises(SourceError) as caught:
        read(tokens)
    assert tokens.codes == ["timeout"]
    assert (caught.value.code, str(caught.value)) == ("bad_credentials", "No token. [x://y]")
