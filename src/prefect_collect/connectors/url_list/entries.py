"""The lines of a list of URLs: JSON Lines (https://jsonlines.org), each an object that describes one URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from prefect_collect.connectors.http.addresses import checked_url
from prefect_collect.stores.addresses import is_signed
from prefect_collect.untrusted.bounded_json import BadValue, parse_json

LONGEST_LINE: Final = 256 << 10
"""The most bytes of a line."""

_MOST_VALUES: Final = 1_000
_MOST_HEADERS: Final = 64
_LONGEST_NAME: Final = 4_096
_LARGEST: Final = (1 << 63) - 1
_FIELDS: Final = ("url", "name", "sha256", "size", "headers")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
_VALUE: Final = re.compile(r"[\t\x20-\x7e]{0,16384}")
_OURS: Final = frozenset(
    {"host", "range", "if-range", "content-length", "transfer-encoding", "connection", "accept-encoding", "te",
     "trailer", "upgrade", "expect", "proxy-authorization"}
)  # fmt: skip
"""Headers that a line must not set, as they decide what a request is."""

_SECRET: Final = re.compile(
    r"([?&;](?:[^=&;]*(?:token|secret|password|passwd|signature|credential|api_?key|session)[^=&;]*|sig|auth|key|code|"
    r"policy|awsaccesskeyid|googleaccessid)=)[^&;]*",
    re.IGNORECASE,
)
"""Parameters of a URL's query by whose value it is opened."""


class BadLine(ValueError):
    """A line describes no URL; the text says what is wrong with which field."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        url: The URL as it is sent.
        id: The URL as it was written, without secrets in its query: the item's id, unless other URLs have it too.
        path: The item's path: the line's name, or server and path of the URL.
        sha256: The SHA-256 that the content must have; None if the line states none.
        size: Its size in bytes, if stated.
        headers: Header lines for the URL's server.
        name: The line's name; "" if it has none.
    """

    url: str
    id: str
    path: str
    sha256: bytes | None = None
    size: int | None = None
    headers: tuple[str, ...] = field(default=(), repr=False)
    name: str = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that the item may have, of which the list gives it the first that other URLs have not.

        What is left out of a URL may be all that tells it from another (``?key=a.pdf``). The line's name then does,
        which stays when a token is renewed; a digest of the URL does if there is none, or several URLs have the name.
        """
        digest = f"{self.id}#{blake2b(self.url.encode(), digest_size=8).hexdigest()}"
        return (self.id, f"{self.id}#{self.name}", digest) if self.name else (self.id, digest)


def parse_line(line: bytes) -> Entry:
    """Return what a line describes. Raise BadLine."""
    if len(line) > LONGEST_LINE:
        raise BadLine(f"has more than {LONGEST_LINE:,} bytes")
    try:
        values = parse_json(line, _known, LONGEST_LINE, _MOST_VALUES)
    except BadValue as error:
        raise BadLine(f"is wrong: {error}") from None
    url = values.get("url")
    if not isinstance(url, str):
        raise BadLine("has no url")
    try:
        sent = checked_url(url)
    except ValueError as error:
        raise BadLine(f"has a url that {error}") from None
    shown = without_secrets(url)
    name = _name(values.get("name"))
    return Entry(
        sent,
        shown,
        name or _path_of(shown),
        _sha256(values.get("sha256")),
        _size(values.get("size")),
        header_lines(values.get("headers") or {}),
        name,
    )


def without_secrets(url: str) -> str:
    """Return a URL without fragment, and without what its query opens it with: a signature, a token, a key."""
    url = url.partition("#")[0]
    if is_signed(url):
        return url.partition("?")[0]
    return _SECRET.sub(r"\1…", url)


def header_lines(headers: object) -> tuple[str, ...]:
    """Return the header lines of an object of names and values. Raise BadLine, which does not repeat a value."""
    if not isinstance(headers, dict) or len(headers) > _MOST_HEADERS:
        raise BadLine(f"has headers that are no object of at most {_MOST_HEADERS} names and values")
    lines = []
    for name, value in headers.items():
        if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
            raise BadLine("has a header without a valid name")
        if name.lower() in _OURS:
            raise BadLine(f"has the header {name}, which is not for a list to set")
        if not isinstance(value, str) or _VALUE.fullmatch(value) is None:
            raise BadLine(f"has a header {name} whose value is no text that a header can have")
        lines.append(f"{name}: {value.strip()}" if value.strip() else f"{name};")  # libcurl's form of an empty one
    return tuple(lines)


def _known(values: dict[str, Any], _name: str) -> None:
    unknown = [name for name in values if name not in _FIELDS]
    if unknown:
        raise BadValue(f"it has the field {unknown[0][:40]!r}, where {', '.join(_FIELDS)} are known")


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.path, errors="surrogateescape").strip("/") or "index"
    return f"{parts.hostname}/{path}{f'?{parts.query}' if parts.query else ''}"


def _name(name: object) -> str:
    if name is None:
        return ""
    if not isinstance(name, str) or not name.strip("/") or "\0" in name:
        raise BadLine("has a name that is no text, or empty")
    if len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        raise BadLine(f"has a name of more than {_LONGEST_NAME:,} bytes")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BadLine("has a name that UTF-8 cannot hold") from None
    return name.strip("/")


def _sha256(text: object) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str) or _SHA256.fullmatch(text) is None:
        raise BadLine("has a sha256 that is not 64 hexadecimal digits")
    return bytes.fromhex(text)


def _size(number: object) -> int | None:
    if number is None:
        return None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _LARGEST:
        raise BadLine("has a size that is no whole number of bytes")
    return number
