"""Reads JSON files that others may have changed: bounded in size, and checked field by field.

    RECORD = fields({"name": text(), "attempt": whole(1, 9999)}, optional={"pid": whole(1)})
    values = read_json(store, key, RECORD)

An error names the field and ends with the file. pydantic is not used: its reader refuses names of files that are not
UTF-8 (PEP 383), which the jobs of such files hold, and limits neither the number of values nor the total size of texts:
of 32 MiB of empty objects, which are refused here before they are parsed, it makes 1.2 GB, and the standard library's
`json` 840 MB.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Final

from prefect_collect.errors import CorruptPart
from prefect_collect.stores import Store

MAX_BYTES: Final = 32 << 20
MAX_VALUES: Final = 1_000_000
"""The most bytes and values of a file; values are counted before any is made, because each takes memory."""

MAX_DEPTH: Final = 32
MAX_TEXT: Final = 4 << 20
MAX_WHOLE: Final = (1 << 63) - 1

_SURROGATES: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters; those that are left out stand for bytes of a file name that are not UTF-8 (PEP 383)."""

Check = Callable[[Any, str], None]
"""Checks a value, given with the name of its field. Raise BadValue."""


class BadValue(ValueError):
    """A value is not what it should be; the message names its field, escaped where UTF-8 cannot hold it."""

    def __init__(self, message: str) -> None:
        super().__init__(message.encode("utf-8", "backslashreplace").decode())


def read_json(store: Store, key: str, check: Check, sha256: str | None = None) -> dict[str, Any]:
    """Return the object in a file, if it passes the check, and has the SHA-256 (hex) if one is given.

    Raise KeyMissing, CorruptPart, StoreError.
    """
    data = store.read(key, 0, MAX_BYTES + 1)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise CorruptPart(changed(store, key))
    try:
        return parse_json(data, check)
    except BadValue as error:
        raise CorruptPart(
            f"A file of the job cannot be understood: {error}. Restore it from a backup. [{store.locate(key)}]"
        ) from error


def changed(store: Store, key: str) -> str:
    """Return the message that a file is not the one that was written."""
    return (
        "A file of the job is not the one that its custody log vouches for (its SHA-256 differs). Restore it from a "
        f"backup. [{store.locate(key)}]"
    )


def parse_json(data: bytes, check: Check, most_bytes: int = MAX_BYTES, most_values: int = MAX_VALUES) -> dict[str, Any]:
    """Return the object in the bytes, if it passes the check. Raise BadValue."""
    if len(data) > most_bytes:
        raise BadValue(f"it has more than {most_bytes} bytes")
    if sum(map(data.count, (b",", b"[", b"{"))) > most_values:
        raise BadValue(f"it holds more than {most_values} values")
    try:
        values = json.loads(
            data.decode("utf-8", "surrogateescape"), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
    except BadValue:
        raise
    except RecursionError as error:
        raise BadValue("it is nested too deeply") from error
    except ValueError as error:
        raise BadValue(f"it is not JSON ({str(error)[:200]})") from error
    if not isinstance(values, dict):
        raise BadValue("it does not hold an object")
    _require_plain(values)
    check(values, "")
    return values


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadValue("it names a field twice")
    return found


def _refuse_constant(name: str) -> None:
    raise BadValue(f"it holds {name}, which is not a number")


def _require_plain(values: object) -> None:
    """Raise BadValue for text with halves of characters, infinite numbers, or too deep nesting."""
    todo: list[tuple[object, int]] = [(values, 0)]
    while todo:
        value, depth = todo.pop()
        if isinstance(value, str):
            if not value.isascii() and _SURROGATES.search(value):
                raise BadValue("it holds half of a character")
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise BadValue("it holds a number that is too large")
        elif isinstance(value, dict | list):
            if depth == MAX_DEPTH:
                raise BadValue("it is nested too deeply")
            todo += ((each, depth + 1) for each in value)
            if isinstance(value, dict):
                todo += ((each, depth + 1) for each in value.values())


def fields(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, *, open: bool = False) -> Check:
    """Return a check for an object with these fields; with `open`, it may have others, which are not checked."""
    every = {**required, **(optional or {})}

    def check(value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(value, name, "an object")
        if missing := [field for field in required if field not in value]:
            raise BadValue(f"it has no field {_below(name, missing[0])}")
        for field, inside in value.items():
            if field in every:
                every[field](inside, _below(name, field))
            elif not open:
                raise BadValue(f"it has a field {_below(name, field)[:200]}, which is not known")

    return check


def table_of(inside: Check, keys: Check | None = None) -> Check:
    """Return a check for an object with any fields, whose values (and names, by `keys`) pass."""

    def check(value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(value, name, "an object")
        for field, each in value.items():
            if keys is not None:
                keys(field, f"the names in {name}")
            inside(each, _below(name, field))

    return check


def list_of(inside: Check) -> Check:
    """Return a check for a list whose values pass."""

    def check(value: Any, name: str) -> None:
        if not isinstance(value, list):
            raise _wrong(value, name, "a list")
        for each in value:
            inside(each, f"{name}[]")

    return check


def anything(value: Any, name: str) -> None:
    """Accept any value."""


def text(most: int = MAX_TEXT, like: str | None = None) -> Check:
    """Return a check for text of at most so many characters that matches the pattern."""
    pattern = None if like is None else re.compile(like)

    def check(value: Any, name: str) -> None:
        if not isinstance(value, str) or len(value) > most:
            raise _wrong(value, name, f"text of at most {most} characters")
        if pattern is not None and pattern.fullmatch(value) is None:
            raise _wrong(value, name, "text of the expected form")

    return check


def whole(least: int = 0, most: int = MAX_WHOLE) -> Check:
    """Return a check for a whole number in a range."""

    def check(value: Any, name: str) -> None:
        if type(value) is not int or not least <= value <= most:
            raise _wrong(value, name, f"a whole number from {least} to {most}")

    return check


def flag(value: Any, name: str) -> None:
    """Check for true or false."""
    if not isinstance(value, bool):
        raise _wrong(value, name, "true or false")


def moment(value: Any, name: str) -> None:
    """Check for a time in ISO 8601 with its offset from UTC."""
    try:
        is_good = isinstance(value, str) and len(value) <= 64 and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        is_good = False
    if not is_good:
        raise _wrong(value, name, "a time with its offset from UTC")


def one_of(kind: type[Enum]) -> Check:
    """Return a check for one of the values of an enumeration."""
    values = {each.value for each in kind}

    def check(value: Any, name: str) -> None:
        if not isinstance(value, str) or value not in values:
            raise _wrong(value, name, f"one of {', '.join(sorted(values))}")

    return check


def or_none(inside: Check) -> Check:
    """Return a check for null, or a value that passes."""

    def check(value: Any, name: str) -> None:
        if value is not None:
            inside(value, name)

    return check


def _below(name: str, field: str) -> str:
    return f"{name}.{field}" if name else field


def _wrong(value: Any, name: str, what: str) -> BadValue:
    shown = json.dumps(value)[:60] if not isinstance(value, dict | list) else f"a {type(value).__name__}"
    return BadValue(f"{name} is {shown}, not {what}")
