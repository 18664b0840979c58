"""Reads the text files of a bag, as RFC 8493 describes them: their lines, and bagit.txt."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prefect_collect.archive.problems import Damaged
from prefect_collect.packages.problems import Findings

LONGEST_LINE: Final = 256 << 10
"""The most characters of a line. RFC 8493 has no limit; a ZIP name has 65,535 bytes, encoded 196,605 characters."""

LONGEST_DECLARATION: Final = 1024
"""How many bytes of bagit.txt are read."""

BOM: Final = "\ufeff"

VERSIONS: Final = ((0, 93), (0, 94), (0, 95), (0, 96), (0, 97), (1, 0))

_STEP: Final = 64 << 10
_BREAK: Final = re.compile(r"\r\n|\n|\r")
_STRICT: Final = re.compile(
    r"BagIt-Version: (\d{1,4})\.(\d{1,4})(?:\r\n|\n|\r)Tag-File-Character-Encoding: ([!-~]{1,100})(?:\r\n|\n|\r)?",
    re.ASCII,
)
_OTHER_CASE: Final = re.compile(_STRICT.pattern, re.ASCII | re.IGNORECASE)
_LOOSE: Final = re.compile(
    r"\s*BagIt-Version\s*:\s*(\d{1,4})\.(\d{1,4})\s*?[\r\n]+\s*Tag-File-Character-Encoding\s*:\s*([!-~]{1,100})\s*",
    re.ASCII | re.IGNORECASE,
)
_NO_CHARACTER_SETS: Final = frozenset(
    {"idna", "punycode", "undefined", "unicode_escape", "unicode-escape", "raw_unicode_escape", "raw-unicode-escape"}
    | {"charmap", "utf-8-sig", "mbcs", "oem", "palmos"}
)
"""Codecs of Python that encode text but are in no registry of character sets, or cannot be decoded in steps."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What bagit.txt declares; `encoding` is Python's name of the encoding."""

    version: tuple[int, int]
    encoding: str

    @property
    def is_final(self) -> bool:
        """Return whether the version is BagIt 1.0 (RFC 8493) or newer, and not an earlier draft."""
        return self.version >= (1, 0)

    @property
    def text(self) -> str:
        """The version as it is written."""
        return f"{self.version[0]}.{self.version[1]}"


ASSUMED: Final = Declaration((1, 0), "utf-8")
"""The declaration assumed for a bag whose bagit.txt has none."""


def declaration(data: bytes, findings: Findings) -> Declaration:
    """Return version and encoding from bagit.txt (section 2.1.1), which must be exactly two lines."""

    def wrong(what: str) -> Declaration:
        findings.problems.add("bagit.txt", what)
        return ASSUMED

    if len(data) > LONGEST_DECLARATION:
        return wrong("it is not the two lines that RFC 8493 wants, but much more; it was not read")
    if data.startswith(codecs.BOM_UTF8):
        findings.problems.add("bagit.txt", "it begins with a byte order mark (BOM), which RFC 8493 forbids there")
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return wrong("it is not UTF-8")
    found = _STRICT.fullmatch(text)
    loose = None if found else _LOOSE.fullmatch(text)
    fields = found or loose
    if fields is None:
        return wrong("it does not declare a BagIt version and an encoding as RFC 8493 wants it")
    version = int(fields[1]), int(fields[2])
    if _OTHER_CASE.fullmatch(text) and found is None:
        what = 'it writes "BagIt-Version" or "Tag-File-Character-Encoding" in other upper and lower case'
        findings.tolerated.add("bagit.txt", what)
    elif loose:
        what = 'it is not exactly the lines "BagIt-Version: M.N" and "Tag-File-Character-Encoding: …"'
        (findings.problems if version >= (1, 0) else findings.tolerated).add("bagit.txt", what)
    encoding = character_set(fields[3])
    if version not in VERSIONS:
        findings.problems.add("bagit.txt", f"BagIt version {fields[1]}.{fields[2]} is not known; it is judged as 1.0")
        version = (1, 0)
    if encoding is None:
        what = f"its encoding {fields[3]} is not a known character set; the other tag files are read as UTF-8"
        findings.problems.add("bagit.txt", what)
    return Declaration(version, encoding or "utf-8")


def character_set(name: str) -> str | None:
    """Return Python's name of a character set; None if it is not one (as zlib and hex are not)."""
    try:
        found = codecs.lookup(name)
        codecs.getincrementaldecoder(found.name)
    except (LookupError, ValueError):
        return None
    # What bytes.decode checks too, but not for empty bytes.
    is_text = getattr(found, "_is_text_encoding", True)
    return found.name if is_text and found.name not in _NO_CHARACTER_SETS else None


def cut_short(error: Damaged) -> str:
    """Return the problem of a tag file that was not read to its end, because no hash may report it."""
    reason = str(error)
    what = "it was not read to its end, and the rest of what it says was not checked"
    return reason if reason.startswith("line") else f"{what}: {reason}"


def lines(chunks: Iterable[bytes | memoryview], encoding: str) -> Iterator[str]:
    """Yield the lines of a tag file, which end with LF, CR or CRLF only; a byte order mark stays.

    Raise Damaged if the file is not in that encoding, or if a line is longer than LONGEST_LINE.
    """
    decoder, rest, count = codecs.getincrementaldecoder(encoding)(), "", 0
    try:
        for piece in _pieces(chunks):
            text = rest + decoder.decode(piece)
            held = "\r" if text.endswith("\r") else ""
            *whole, rest = _BREAK.split(text[: len(text) - len(held)])
            rest += held
            yield from whole
            count += len(whole)
            # What a decoder holds back can be as long as the file: that of UTF-7 does so.
            if len(rest) > LONGEST_LINE or len(decoder.getstate()[0]) > LONGEST_LINE:
                raise Damaged(f"line {count + 1:,} has more than {LONGEST_LINE:,} characters; reading stopped there")
        *whole, rest = _BREAK.split(rest + decoder.decode(b"", final=True))
    except ValueError as error:
        raise Damaged(f"line {count + 1:,} or one after it is not in the declared encoding ({encoding})") from error
    yield from whole
    if rest:
        yield rest


def _pieces(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _STEP):
            yield bytes(chunk[start : start + _STEP])


_ENCODED: Final = re.compile(r"%(?:0[AaDd]|25)")


def bag_encode(path: str) -> str:
    """Return a path as BagIt's manifests write it: only LF, CR and % are encoded (RFC 8493, section 2.1.3)."""
    if "%" in path or "\n" in path or "\r" in path:
        return path.replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")
    return path


def bag_decode(text: str) -> str:
    """Return the path that `bag_encode` wrote; other percent signs are left as they are."""
    return _ENCODED.sub(lambda found: chr(int(found[0][1:], 16)), text) if "%" in text else text
