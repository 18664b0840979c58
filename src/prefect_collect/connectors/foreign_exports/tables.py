"""Reading the lists of exports that are tables (CSV) or lines (checksums) piece by piece."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from prefect_collect.connectors.foreign_exports.documents import NotExported
from prefect_collect.connectors.foreign_exports.edrm_xml import ALGORITHMS, BadList, document

_LONGEST_LINE: Final = 4 << 20
_MOST_COLUMNS: Final = 1_000
_HEX: Final = r"([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})"
_BEFORE: Final = re.compile(rf'"?{_HEX}"?(?=[\s,;:*])')
_AFTER: Final = re.compile(rf'(?<![0-9a-fA-F]){_HEX}"?\Z')
_BSD: Final = re.compile(r"(?:MD5|SHA-?1|SHA-?256) ?\(([^\n]+)\) ?= ?([0-9a-fA-F]{32,64})", re.IGNORECASE)
_LONGEST_CHECKSUM: Final = 70_000
"""The most characters of a line with a checksum: a path has 65,535 at most."""


def lines(pieces: Iterable[bytes | memoryview]) -> Iterator[str]:
    """Yield the lines of a text, with their ends: UTF-8, or UTF-16 if it begins so. Raise BadList."""
    decoder: codecs.IncrementalDecoder | None = None
    text, head = "", b""
    for piece in chain(pieces, [b""]):
        head += bytes(piece)
        if decoder is None:
            if len(head) < 2 and len(piece):
                continue
            is_wide = head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            decoder = codecs.getincrementaldecoder("utf-16" if is_wide else "utf-8-sig")("replace")
        text += decoder.decode(head)
        head = b""
        *whole, text = text.split("\n")
        yield from (f"{line}\n" for line in whole)
        if len(text) > _LONGEST_LINE:
            raise BadList("it has a line without an end")
    if decoder is not None:
        text += decoder.decode(b"", final=True)
    if text:
        yield text


def rows(pieces: Iterable[bytes | memoryview]) -> Iterator[dict[str, str]]:
    """Yield the rows of a table by their columns' names. Raise BadList, after those before what is wrong."""
    reader = csv.reader(lines(pieces))
    try:
        names = [name.strip() for name in next(reader, [])][:_MOST_COLUMNS]
        for row in reader:
            if row:
                yield dict(zip(names, row, strict=False))
    except csv.Error as error:
        raise BadList(f"it is no table: {error}, in line {reader.line_num}") from error


def failures(pieces: Iterable[bytes | memoryview]) -> Iterator[NotExported]:
    """Yield what a table of errors says, each row by its number. Raise BadList, as `rows` does."""
    for number, row in enumerate(rows(pieces), 1):
        said = "; ".join(f"{name}: {value}" for name, value in row.items() if value)
        yield NotExported(f"row {number}", said[:1_000], document("", [], row).metadata)


def checksums(pieces: Iterable[bytes | memoryview]) -> Iterator[tuple[str, str, str]]:
    """Yield the checksums of a list: names of files, algorithms, hex digests. Other lines are passed over.

    Lines are as md5sum, BSD's md5 or a table have them: digest and name, or name and digest.
    """
    for line in lines(pieces):
        found = _checksum(line.strip()) if len(line) < _LONGEST_CHECKSUM else None
        if found is not None and (algorithm := ALGORITHMS.get(len(found[1]))) is not None:
            yield found[0].removeprefix("./"), algorithm, found[1]


def _checksum(line: str) -> tuple[str, str] | None:
    """Return the name and the digest of a line; None if it has none."""
    if (both := _BSD.fullmatch(line)) is not None:
        return both[1], both[2]
    if (found := _AFTER.search(line)) is not None:
        name = line[: found.start()]
    elif (found := _BEFORE.match(line)) is not None:
        name = line[found.end() :]
    else:
        return None
    name = name.strip(' \t,;:=*"')
    return (name, found[1]) if name else None
