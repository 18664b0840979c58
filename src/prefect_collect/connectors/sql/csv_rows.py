"""Rows of text as CSV, in the form of PostgreSQL's COPY with FORCE_QUOTE."""

from __future__ import annotations

from collections.abc import Iterable


def line(values: Iterable[object]) -> bytes:
    """Return a line: each value in quotes, bytes as hexadecimal digits, and None as nothing."""
    return (",".join([_cell(value) for value in values]) + "\n").encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if type(value) is str:
        return '"' + value.replace('"', '""') + '"' if '"' in value else f'"{value}"'
    if type(value) is bytes:
        return f'"\\x{value.hex()}"'
    return f'"{value!r}"'
