"""Checks that Prefect's database can store the texts that users enter; a text that it cannot store is refused.

PostgreSQL does not store NUL (U+0000) in texts and JSON (https://www.postgresql.org/docs/current/datatype-json.html),
and Prefect's server then only answers that it failed. JSON in UTF-8 cannot contain lone surrogates, with which Python
represents bytes of a command line or a file name that are not UTF-8. Text from a data source is not refused but escaped
(`escaping`).
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from prefect_collect.errors import UsageError

STORABLE_PATTERN: Final = r"^[^\x00]*$"
"""A JSON schema's pattern for texts without NUL.

It does not exclude surrogates, because in the regular expressions of browsers an emoji consists of surrogates.
"""

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_ACTIONS: Final = (
    "write it in UTF-8 (in a pattern ? stands for any character, and a link can give a folder another name)",
    "leave it out",
)


def unstorable(text: str) -> str:
    """Return in words what the text contains that Prefect's database cannot store; "" if it can be stored."""
    found = _UNSTORABLE.search(text)
    if found is None:
        return ""
    return "a NUL character (U+0000)" if found[0] == "\0" else f"bytes that are not UTF-8 (U+{ord(found[0]):04X})"


def require_storable(value: object, field: str, error: type[UsageError] = UsageError) -> None:
    """Raise `error` if Prefect's database cannot store a text in the value, at any depth.

    The message names the text's field, as ``query.include``, and does not repeat the text, which may be a secret.

    Args:
        value: The value.
        field: The name of its field.
        error: The class of the error.
    """
    for name, text in _texts(value, field):
        if what := unstorable(text):
            action = _ACTIONS["NUL" in what]
            raise error(f"{name} contains {what}, which Prefect cannot store; {action}. [field={name}]")


def _texts(value: object, name: str) -> Iterator[tuple[str, str]]:
    """Yield the texts in a value, each with the name of its field; the keys of a mapping are texts of its field."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, os.PathLike):
        yield name, os.fsdecode(value)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for one in value:
            yield from _texts(one, name)
    else:
        for key, one in _fields(value).items():
            yield name, str(key)
            yield from _texts(one, f"{name}.{key}" if name else str(key))


def _fields(value: object) -> Mapping[Any, Any]:
    """Return the fields of a mapping, a dataclass, a pydantic model or a secret; empty for anything else."""
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if callable(reveal := getattr(value, "get_secret_value", None)):
        return {"secret": reveal()}
    names = getattr(type(value), "model_fields", {})
    return {name: getattr(value, name) for name in names}
