"""The fields of a form that only some formats of packages take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from typing import Any, Final

from prefect_collect.console.page_query import bytes_of
from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMATS, OPTION_GROUPS

_NUMBERS: Final = ("width", "volume_items")
_SIZES: Final = ("volume_bytes",)
_LISTS: Final = ("tags",)
_CHECKED: Final = ("hive",)
_SHORT: Final = {"load_file": "lf"}
"""How the names of a group's fields begin in forms, if not by the group's name."""


def format_fields(fields: Mapping[str, str], format: str, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Return the options that a form asks for and the format takes, by an export's parameters. Raise UsageError."""
    taken = FORMATS[format].options if format in FORMATS else frozenset()  # type: ignore[index]
    made: dict[str, dict[str, Any]] = {}
    for name, group in OPTION_GROUPS.items():
        if name in taken:
            start = f"{prefix}{_SHORT.get(name, name)}_"
            given = {
                field.name: value
                for field in fields_of(group)
                if (value := fields.get(f"{start}{field.name}", "").strip())
            }
            if lines := fields.get(f"{start}lines", "").strip():
                given["profile"] = f"{lines}\n"
            if values := group.of({field: _value(field, text) for field, text in given.items()}).to_json():
                made[name] = values
    return made


def _value(name: str, text: str) -> Any:
    if name in _LISTS:
        return [line.strip() for line in text.splitlines() if line.strip()]
    if name in _CHECKED:
        return text == "yes"
    if name in _NUMBERS:
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            raise UsageError(f"{name} must be a whole number of 1 or more. [{name}={text:.40}]")
        return int(text)
    if name in _SIZES:
        size = bytes_of(text)
        if size is None:
            raise UsageError(f"{name} must be a size such as 700 MB or 4 GiB. [{name}={text:.40}]")
        return size
    return text
