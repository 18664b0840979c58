"""The fields of a form that only some formats of packages take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from typing import Any, Final, get_args, get_origin, get_type_hints

from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMATS, OPTION_GROUPS
from prefect_collect.parameters import size_of

_SHORT: Final = {"load_file": "lf"}
"""How the names of a group's fields begin in forms, if not by the group's name."""


def name_in_form(group: str, field: str) -> str:
    """Return the name that a field of a group has in forms, after the form's own prefix."""
    return f"{_SHORT.get(group, group)}_{field}"


def format_fields(fields: Mapping[str, str], format: str, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Return the options that a form asks for and the format takes, by an export's parameters. Raise UsageError."""
    taken = FORMATS[format].options if format in FORMATS else frozenset()  # type: ignore[index]
    made: dict[str, dict[str, Any]] = {}
    for name, group in OPTION_GROUPS.items():
        if name in taken:
            given = {
                field.name: value
                for field in fields_of(group)
                if (value := fields.get(f"{prefix}{name_in_form(name, field.name)}", "").strip())
            }
            if lines := fields.get(f"{prefix}{name_in_form(name, 'lines')}", "").strip():
                given["profile"] = f"{lines}\n"
            kinds = get_type_hints(group)
            if values := group.of(
                {field: _value(field, kinds[field], text) for field, text in given.items()}
            ).to_json():
                made[name] = values
    return made


def _value(name: str, kind: Any, text: str) -> Any:
    """Return the value of a field of this type, as a form gives it; sizes are written in words. Raise UsageError."""
    kinds = (kind, *get_args(kind))
    if bool in kinds:
        return text == "yes"
    if any(get_origin(each) is tuple for each in kinds):
        return [line.strip() for line in text.splitlines() if line.strip()]
    if int not in kinds:
        return text
    if name.endswith("_bytes"):
        size = size_of(text)
        if size is None:
            raise UsageError(f"{name} must be a size such as 700 MB or 4 GiB. [{name}={text:.40}]")
        return size
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise UsageError(f"{name} must be a whole number of 1 or more. [{name}={text:.40}]")
    return int(text)
