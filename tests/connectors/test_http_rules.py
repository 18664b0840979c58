"""The rules of URLs, addresses, redirects and headers of HTTP, and the lines of lists of URLs."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.connectors.http.addresses import checked_url, is_public, origin, redirected, shares_secrets
from prefect_collect.connectors.http.failures import status_error
from prefect_collect.connectors.http.headers import content_range, etag_of, is_strong, listed_etag, plain_etag
from prefect_collect.connectors.http.pace import retry_after
from prefect_collect.connectors.url_list.entries import BadLine, Entry, parse_line, without_secrets
from prefect_collect.errors import SourceError
from tests.examples import examples


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("0.0.0.0", False), ("255.255.255.255", False), ("224.0.0.1", False), ("240.0.0.1", False), ("::1", False),
        ("::", False), ("fe80::1", False), ("fe80::1%eth0", False), ("fc00::1", False), ("ff02::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:93.184.216.34", True), ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d822", True), ("2002:7f00:1::", False), ("2001:0:7f00:1::", False), ("host", False),
    ],
)  # fmt: skip
def test_public_addresses(address: str, expected: bool) -> None:
    """Only addresses of the internet are public, also where an IPv6 address stands for one of IPv4."""
    assert is_public(address) is expected


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://h", "http://h/"), ("https://h:8443/a?b=c#d", "https://h:8443/a?b=c"), ("http://h?x", "http://h/?x"),
        ("http://h/ü", "http://h/%C3%BC"), ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://[::1]:80/", "http://[::1]:80/"), ("HTTP://H/%2F%zz", "http://h/%2F%zz"),
    ],
)  # fmt: skip
def test_urls(url: str, sent: str) -> None:
    """A URL is sent as it is written, with what must be escaped escaped."""
    assert checked_url(url) == sent


@pytest.mark.parametrize(
    "url",
    [
        "", "h", "ftp://h/", "file:///etc/passwd", "http://", "http:///x", "http://a:b@h/", "http://h:0/",
        "http://h:99999/", "http://h/a b", "http://h/\r\nX: y", "http://h\\@evil/", "http://[::1/",
        f"http://h/{'x' * 20_000}",
        "gopher://h/", "//h/x", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_urls_that_are_refused(url: str) -> None:
    """What is no http(s) URL of a server, or could be taken for another one, is refused."""
    with pytest.raises(ValueError, match=r"^(?:is|has|does|names|contains) "):
        checked_url(url)


@given(st.text(max_size=80) | st.text(max_size=60).map(lambda rest: f"http://host/{rest}"))
@settings(max_examples=examples(300))
def test_any_url(url: str) -> None:
    """Whatever is accepted is plain ASCII in one line, stays what it is, and has the server that it seems to have."""
    try:
        sent = checked_url(url)
    except ValueError:
        return
    assert sent.isascii()
    assert not any(sign <= " " or sign == "\x7f" for sign in sent)
    assert checked_url(sent) == sent
    parts = urlsplit(sent)
    assert origin(sent)[0] in ("http", "https")
    assert origin(sent)[:2] == (parts.scheme, (parts.hostname or "").rstrip("."))
    assert "@" not in parts.netloc


@pytest.mark.parametrize(
    ("first", "other", "expected"),
    [
        ("https://h/a", "https://h/b", True), ("https://h/", "https://h:443/", True), ("http://h/", "https://h/", True),
        ("http://h:80/", "https://h:443/", True), ("https://h/", "http://h/", False),
        ("https://h/", "https://i/", False),
        ("https://h/", "https://h:8443/", False), ("http://h:8080/", "https://h/", False),
        ("https://h/", "https://h.evil/", False), ("https://h./", "https://h/", True),
        ("https://h/a/b", "https://h:8443/a/b", False), ("https://h?@evil/a", "https://evil/a", False),
        ("https://h?@evil/a", "https://h/a", True), ("http://h/https://i/", "https://i/", False),
    ],
)  # fmt: skip
def test_who_gets_secrets(first: str, other: str, expected: bool) -> None:
    """Secrets go to the same server, and to its https; to no other port, name or plain http."""
    assert shares_secrets(first, other) is expected


def test_redirects() -> None:
    """A Location may be relative; https does not become http; the sixth redirect is one too many."""
    assert redirected("http://h/a/b", "../c?d", 0, "x") == "http://h/c?d"
    assert redirected("http://h/a", "//other/c", 4, "x") == "http://other/c"
    assert redirected("http://h/a", "/\xc3\xbc", 0, "x") == "http://h/%C3%BC"
    with pytest.raises(SourceError) as caught:
        redirected("https://h/a", "http://h/b", 0, "x")
    assert caught.value.code == "address_refused"
    with pytest.raises(SourceError, match="more than 5 times"):
        redirected("http://h/a", "/b", 5, "x")


def test_marks_and_ranges() -> None:
    """ETags keep whether they are weak; ranges and pauses that are none are none."""
    assert [listed_etag(text) for text in ('"a"', 'W/"a"', "a", '""', "", None)] == ["a", "W/a", "a", None, None, None]
    assert etag_of('"a"', "W/a") == "W/a"
    assert etag_of('W/"a"', "a") == "a"
    assert etag_of('"b"', "a") == "b"
    assert is_strong('"a"')
    assert not is_strong('W/"a"')
    assert content_range("bytes 5-9/10") == (5, 10)
    assert content_range("bytes 5-9/*") == (5, None)
    assert content_range("bytes */10") == (None, None)
    assert retry_after("7") == 7
    assert retry_after("Sun, 06 Nov 1994 08:49:37 GMT") == 0
    assert retry_after("soon") is None


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "bad_credentials"), (403, "access_denied"), (404, "not_found"), (410, "not_found"), (429, "throttled"),
     (503, "throttled"), (500, "source_error"), (418, "unexpected_error"), (412, "changed_during_read"),
     (504, "timeout"), (407, "bad_credentials")],
)  # fmt: skip
def test_statuses(status: int, code: str) -> None:
    """Each status has its code; the server's words are in the message, without markup and in one line."""
    error = status_error(status, "place", b"<html><style>p{}</style>\n<p>No,\n\nsir.</p>")
    assert error.code == code
    assert str(error).endswith(f"(HTTP {status}: No, sir.). [place]")


def line(**fields: Any) -> bytes:
    """Return a line of a list."""
    return json.dumps({"url": "https://h/a%20b.pdf"} | fields).encode()


def test_lines() -> None:
    """A line states what is known of a URL; its path is the name, or server and path of the URL."""
    assert parse_line(line()) == Entry("https://h/a%20b.pdf", "https://h/a%20b.pdf", "h/a b.pdf")
    entry = parse_line(line(name="/x/y", sha256="AB" * 32, size=5, headers={"X-Key": " hush ", "Empty": ""}))
    assert (entry.path, entry.sha256, entry.size) == ("x/y", b"\xab" * 32, 5)
    assert entry.headers == ("X-Key: hush", "Empty;")
    assert "hush" not in repr(entry)
    assert parse_line(b'{"url": "http://h/?q=1"}').path == "h/index?q=1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"), (b"[]", "object"), (b'"http://h/"', "object"), (b"{}", "has no url"),
        (line(url=5), "has no url"), (line(url="ftp://h/"), "does not begin with http"),
        (line(url="http://a:hush@h/"), "user or password"), (line(size=-1), "size"), (line(size=1.5), "size"),
        (line(size=True), "size"), (line(sha256="zz"), "sha256"), (line(name=""), "name"), (line(name="a\0"), "name"),
        (line(name="x" * 5_000), "name"), (line(headers=[1]), "headers"),
        (line(headers={"a b": "c"}), "header"), (line(headers={"a": "b\r\nc: d"}), "header a"),
        (line(headers={"Host": "x"}), "not for a list"), (line(headers={"Range": "x"}), "not for a list"),
        (line(hash="x"), "'hash'"), (b'{"url": "http://h/", "url": "http://i/"}', "twice"),
        (b'{"url": "http://h/\xff"}', "half of a character|control|url"), (b'{"url": "http://h/", "size": 1e999}', "."),
        (b'{"url": "http://h/"' + b" " * 300_000 + b"}", "more than"),
    ],
)  # fmt: skip
def test_lines_that_are_wrong(text: bytes, said: str) -> None:
    """A wrong line says what is wrong with which field, and repeats no secret."""
    with pytest.raises(BadLine, match=said) as caught:
        parse_line(text)
    assert "hush" not in str(caught.value)


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda url: json.dumps({"url": f"http://h/{url}"}).encode()))
@settings(max_examples=examples(300))
def test_any_line(text: bytes) -> None:
    """Any bytes are an entry whose fields can be recorded, or a wrong line."""
    try:
        entry = parse_line(text)
    except BadLine:
        return
    assert entry.id
    assert entry.path
    assert not entry.path.startswith("/")
    assert not entry.path.endswith("/")
    assert checked_url(entry.url) == entry.url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://b.s3.example/k?X-Amz-Signature=hush&X-Amz-Date=1", "https://b.s3.example/k"),
        ("https://x.blob.example/c/b?sv=1&sig=hush", "https://x.blob.example/c/b"),
        ("https://h/a?id=7&token=hush&v=2#f", "https://h/a?id=7&token=…&v=2"),
        ("https://h/a?access_token=hush;Key=hush", "https://h/a?access_token=…;Key=…"),
        ("https://h/a?page=3&keyword=open", "https://h/a?page=3&keyword=open"),
    ],
)
def test_secrets_in_urls(url: str, shown: str) -> None:
    """A URL is shown without what it is opened by; other parameters tell items apart."""
    assert without_secrets(url) == shown


@pytest.mark.parametrize(
    ("etag", "plain"),
    [('"a"', "a"), ('W/"a"', "a"), ("a", "a"), ("W/a==", "W/a=="), ('"W/a=="', "W/a=="), ("", None), (None, None)],
)
def test_plain_etags(etag: str | None, plain: str | None) -> None:
    """Quotes and the mark of a weak ETag are left out; a hash without quotes that begins with W/ is whole."""
    assert plain_etag(etag) == plain
