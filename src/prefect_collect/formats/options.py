"""What the options of a package format have in common: they are made of JSON, and become JSON again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self, get_args

from prefect_collect.errors import UsageError


@dataclass(frozen=True)
class FormatOptions:
    """The options that only some formats take: a parameter of an export, whose fields they are.

    Attributes:
        parameter: The name of the parameter.
        example: A value of the parameter, for messages.
        named: What fields are called where those of all formats stand beside each other, if not by their own names.
    """

    parameter: ClassVar[str] = ""
    example: ClassVar[str] = ""
    named: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def option_names(cls) -> dict[str, str]:
        """Return the fields by what they are called where those of all formats stand beside each other."""
        return {cls.named.get(field.name, field.name): field.name for field in fields(cls)}

    @classmethod
    def of(cls, value: Self | dict[str, Any] | None) -> Self:
        """Return the options of a JSON form; for None the default ones. Raise UsageError."""
        if isinstance(value, cls):
            return value
        if value is not None and not isinstance(value, dict):
            raise UsageError(f"{cls.parameter} must be a table of fields such as {cls.example}, not {value!r:.60}.")
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(value or ()) - set(known)):
            raise UsageError(f"{cls.parameter} has no field {unknown[0]!r:.60}; it has {', '.join(known)}.")
        return cls(**(value or {}))

    @classmethod
    def fitting(cls, present: Mapping[str, Any], format: str, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the present fields that can stay if an export gets this format, and the changed fields.

        Args:
            present: The fields that the export has, as JSON values.
            format: The format, of those that take the options.
            changed: The fields that are given again.
        """
        return {**present}

    def require_format(self, format: str) -> None:
        """Raise UsageError if a field is set that this format, of those that take the options, does not take."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set, as JSON values, from which `of` makes the same options."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def require_choice(self, name: str, choices: Any) -> None:
        """Raise UsageError if the field's value is not one of those of a Literal."""
        value = getattr(self, name)
        if value not in get_args(choices):
            raise UsageError(f"{name} must be {' or '.join(get_args(choices))}. [{name}={str(value)[:40]}]")

    def require_count(self, name: str) -> None:
        """Raise UsageError if the field's value is neither None nor a whole number of 1 or more."""
        value = getattr(self, name)
        if value is not None and not is_whole(value, 1):
            raise UsageError(f"{name} must be a whole number of 1 or more. [{name}={str(value)[:40]}]")


def is_whole(value: object, least: int) -> bool:
    """Return whether a value is a whole number of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
