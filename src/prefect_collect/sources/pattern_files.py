"""Files of globs, one on each line, for the options ``--include-from`` and ``--exclude-from``.

A file is UTF-8, with or without a byte order mark; lines end in LF or CRLF. White space around a pattern is ignored
(`[ ]` stands for a space at its start or end), and so are empty lines. A line that begins with ``#`` is a comment; a
pattern that begins with ``#`` is written ``\\#``.
"""

from __future__ import annotations

import codecs
import os
from typing import Final

from prefect_collect.errors import InvalidQuery, UsageError
from prefect_collect.sources.globs import compile_globs
from prefect_collect.storable import unstorable

MAX_BYTES: Final = 64 << 20
"""Bytes of the largest file of patterns that is read."""

_OTHER_MARKS: Final = {
    codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", b"PK\x03\x04": "a ZIP file or a workbook",
    b"\x1f\x8b": "compressed with gzip",
}  # fmt: skip


def read_patterns(path: str | os.PathLike[str], field: str) -> tuple[str, ...]:
    """Return the globs of a file, in its order.

    Args:
        path: The file.
        field: What the globs are for, ``include`` or ``exclude``; named in errors.

    Raises:
        UsageError: The file cannot be read, is over 64 MiB, or is not UTF-8.
        InvalidQuery: A line is not a glob (the message names the line), or a file of patterns to include is empty.
    """
    option = f"--{field}-from"
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"The file of {option} cannot be read: {error.strerror}. [{os.fspath(path)}]") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"The file of {option} is larger than 64 MiB; split it. [{os.fspath(path)}]")
    for mark, what in _OTHER_MARKS.items():
        if data.startswith(mark):
            raise UsageError(
                f"The file of {option} is {what}; save it as text in UTF-8, one pattern a line. [{os.fspath(path)}]"
            )
    numbered = _patterns(data.removeprefix(codecs.BOM_UTF8), option, os.fspath(path))
    _require_globs(numbered, field, os.fspath(path))
    if not numbered and field == "include":
        raise InvalidQuery(
            f"The file of {option} holds no pattern, which would include everything; leave {option} out for that. "
            f"[{os.fspath(path)}]"
        )
    return tuple(numbered.values())


def _patterns(data: bytes, option: str, path: str) -> dict[int, str]:
    """Return the patterns by the number of their line."""
    found = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise UsageError(
                f"Line {number} of the file of {option} is not UTF-8; save the file as UTF-8. [{path}:{number}]"
            ) from error
        if what := unstorable(text):
            raise InvalidQuery(f"Line {number} of the file of {option} holds {what}. [{path}:{number}]")
        if text and not text.startswith("#"):
            found[number] = text[1:] if text.startswith("\\#") else text
    return found


def _require_globs(numbered: dict[int, str], field: str, path: str) -> None:
    try:
        compile_globs([*numbered.values()], field=field)
    except InvalidQuery:
        for number, pattern in numbered.items():
            try:
                compile_globs([pattern], field=field)
            except InvalidQuery as error:
                raise InvalidQuery(f"Line {number} of the file of --{field}-from: {error} [{path}:{number}]") from error
        raise
