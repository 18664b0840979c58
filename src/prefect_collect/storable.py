"""Text that users give, which Prefect's database must be able to keep: what it cannot keep is refused, by its field.

PostgreSQL takes no NUL (U+0000) in texts and JSON (https://www.postgresql.org/docs/current/datatype-json.html), and
Prefect's server says only that it failed. JSON in UTF-8 holds no lone surrogates, of which Python makes the bytes of a
command line or of a file's name that are not UTF-8. Text that comes from a data source is not refused but escaped
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
"""A JSON schema's pattern for texts without NUL. To the expressions of browsers an emoji holds surrogates."""

_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_ACTIONS: Final = (
    "write it in UTF-8 (in a pattern ? stands for any character, and a link can give a folder another name)",
    "leave it out",
)


def unstorable(text: str) -> str:
    """Return what the text holds that Prefect's database cannot keep, in words; "" if there is nothing of it."""
    found = _UNSTORABLE.search(text)
    if found is None:
        return ""
    return "a NUL character (U+0000)" if found[0] == "\0" else f"bytes that are not UTF-8 (U+{ord(found[0]):04X})"


def require_storable(value: object, field: str, error: type[UsageError] = UsageError) -> None:
    """Raise `error` if a text in the value, at any depth, cannot be kept by Prefect's database.

    The message names the text's field, as ``query.include``, and does not repeat the text, which may be a secret.
    """
    for name, text in _texts(value, field):
        if what := unstorable(text):
            action = _ACTIONS["NUL" in what]
            raise error(f"{name} holds {what}, which Prefect cannot keep; {action}. [field={name}]")


def _texts(value: object, name: str) -> Iterator[tuple[str, str]]:
    """The texts in a value, each with the name of its field; the keys of a table are texts of the table."""
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
    """The fields of a table, a dataclass, a pydantic model or a secret; none of anything else."""
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if callable(reveal := getattr(value, "get_secret_value", None)):
        return {"secret": reveal()}
    names = getattr(type(value), "model_fields", {})
    return {name: getattr(value, name) for name in names}
