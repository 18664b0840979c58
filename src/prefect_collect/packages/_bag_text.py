"""The text files of a bag, as RFC 8493 describes them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Final

_BREAK: Final = re.compile(r"\r\n|\n|\r")
_LINE: Final = re.compile(r"([0-9A-Fa-f]+)[ \t]+(.+)", re.DOTALL)
_DECLARATION: Final = re.compile(
    r"BagIt-Version: (\d+\.\d+)(?:\r\n|\n|\r)Tag-File-Character-Encoding: ([A-Za-z0-9_.:-]+)(?:\r\n|\n|\r)?"
)
MANIFEST: Final = re.compile(r"(tag)?manifest-([A-Za-z0-9-]+)\.txt")
"""Names of manifests and tag manifests (2.1.3, 2.2.1)."""

ALGORITHMS: Final = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})
"""Algorithms that are checked: those of RFC 8493 and the rest of the SHA-2 family."""


def declaration(data: bytes) -> tuple[str, str] | None:
    """Version and encoding from bagit.txt (2.1.1); None if it is not as it must be."""
    try:
        found = _DECLARATION.fullmatch(data.decode())
        return (found[1], codecs.lookup(found[2]).name) if found else None
    except (UnicodeDecodeError, LookupError):
        return None


def lines(chunks: Iterable[bytes | memoryview], encoding: str) -> Iterator[str]:
    """The lines of a tag file, ended by LF, CR or CRLF (and nothing else). Raises UnicodeDecodeError."""
    decoder, rest = codecs.getincrementaldecoder(encoding)(), ""
    for chunk in chunks:
        text = rest + decoder.decode(bytes(chunk))
        held = "\r" if text.endswith("\r") else ""
        *whole, rest = _BREAK.split(text[: len(text) - len(held)])
        rest += held
        yield from whole
    *whole, rest = _BREAK.split(rest + decoder.decode(b"", final=True))
    yield from whole
    if rest:
        yield rest


def manifest_line(line: str, size: int) -> tuple[bytes, str] | None:
    """Digest (of `size` bytes) and still encoded path of a manifest's line; None if it is malformed."""
    found = _LINE.fullmatch(line)
    if found is None or len(found[1]) != 2 * size:
        return None
    return bytes.fromhex(found[1]), found[2]


def info_values(text: Iterable[str]) -> dict[str, str]:
    """The labels of bag-info.txt, lower-cased, and their first values (2.2.2); folded lines are joined."""
    values: dict[str, str] = {}
    label = ""
    for line in text:
        if line[:1] in (" ", "\t") and label:
            values[label] += " " + line.strip()
        elif ":" in line:
            label, _, value = line.partition(":")
            label = label.strip().lower()
            values.setdefault(label, value.strip())
    return values
