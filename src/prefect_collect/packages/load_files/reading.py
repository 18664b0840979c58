"""Reads the lists of a load file package again: strictly, as they are written, and within bounds.

It shares no code with what writes them but the names of the characters and a line of hash lists, so that one proves the
other.
"""

from __future__ import annotations

import codecs
import csv
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from prefect_collect.archive.problems import Damaged
from prefect_collect.packages.contents.hash_lines import parsed_hash_line
from prefect_collect.packages.load_files.text import CODECS, END, MARKS, NEW_LINE, QUOTE, SEPARATOR

_LONGEST: Final = 1 << 20
"""The most characters of a row: a path has at most 60,000 bytes, an item's metadata 64 KiB, and a fact one column."""

_STEP: Final = 64 << 10


def read_dat(chunks: Iterable[bytes | memoryview], encoding: str) -> Iterator[list[str]]:
    """Yield the rows of a DAT file, the header first. Raise Damaged."""
    for number, line in enumerate(_lines(chunks, encoding, END), 1):
        row = line.split(SEPARATOR)
        if any(len(field) < 2 or field[0] != QUOTE or field[-1] != QUOTE for field in row):
            raise Damaged(f"row {number:,} has a field that is not between þ and þ")
        values = [field[1:-1].split(QUOTE * 2) for field in row]
        if any(QUOTE in part for parts in values for part in parts):
            raise Damaged(f"row {number:,} has a þ within a field that is not doubled")
        yield [QUOTE.join(parts) for parts in values]


def read_csv(chunks: Iterable[bytes | memoryview], encoding: str) -> Iterator[list[str]]:
    """Yield the rows of a CSV file, the header first. Raise Damaged."""
    lines = (f"{line}\n" for line in _lines(chunks, encoding, "\n"))
    try:
        yield from csv.reader(lines, strict=True)
    except csv.Error as error:
        raise Damaged(f"it is no CSV as it is written here: {error}") from error


def as_read(text: str, kind: str, encoding: str) -> str:
    """Return what the reader of a load file of that kind (``dat`` or ``csv``) gets for a value; see ``text.py``."""
    if text.isprintable() and NEW_LINE not in text and encoding != "cp1252":
        return text
    kept = "\t\r\n"
    if kind == "dat":
        text, kept = NEW_LINE.join((text.replace(NEW_LINE, "(R)") + ".").splitlines())[:-1], "\t"
    other = "?" if encoding == "cp1252" else "\ufffd"
    text = "".join(other if unicodedata.category(letter) == "Cc" and letter not in kept else letter for letter in text)
    return text.encode("cp1252", "replace").decode("cp1252") if encoding == "cp1252" else text


def read_hashes(chunks: Iterable[bytes | memoryview]) -> Iterator[tuple[str, bytes]]:
    """Yield path and SHA-256 of the lines of a manifest. Raise Damaged."""
    for number, line in enumerate(_lines(chunks, "", "\n"), 1):
        found = parsed_hash_line(line)
        if found is None:
            raise Damaged(f"line {number:,} is not a SHA-256, two spaces and a path")
        yield found


def _lines(chunks: Iterable[bytes | memoryview], encoding: str, end: str) -> Iterator[str]:
    """Yield the lines of a file, each of which ends in `end`; "" is UTF-8 without a byte order mark."""
    mark = MARKS.get(encoding, b"")
    decoder, rest, head, count = codecs.getincrementaldecoder(CODECS.get(encoding, "utf-8"))(), "", b"", 0
    begun = not mark
    try:
        for piece in _pieces(chunks):
            data = piece
            if not begun:
                head += piece
                if len(head) < len(mark):
                    continue
                if not head.startswith(mark):
                    raise Damaged("it does not begin with the byte order mark of its encoding")
                begun, data = True, head[len(mark) :]
            *whole, rest = (rest + decoder.decode(data)).split(end)
            count += len(whole)
            yield from whole
            if len(rest) > _LONGEST:
                raise Damaged(f"row {count + 1:,} has more than {_LONGEST:,} characters; reading stopped there")
        rest += decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise Damaged(f"row {count + 1:,} or one after it is not in its encoding ({encoding or 'utf-8'})") from error
    if rest or not begun:
        raise Damaged("it does not end with a whole row")


def _pieces(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _STEP):
            yield bytes(chunk[start : start + _STEP])
