"""Commands that take plain values, such as texts and defaults, as they are.

typer has pydantic validate each value, also one that has its type already, and one that was not given: to import
pydantic for that takes a fifth of the CPU of a command such as `jobs`, and 9 MB. Other values, such as a number or a
choice from the command line, are typer's to convert.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption


class _PlainHelp:
    """What a command and a group have in common: the option --help is plain, too."""

    _help: Any = None

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option --help; each time the same, as click compares it."""
        self._help = self._help or _plain(super().get_help_option(ctx))  # type: ignore[misc]
        return self._help


class PlainCommand(_PlainHelp, TyperCommand):
    """A command whose parameters take plain values as they are."""

    def __init__(self, name: str | None, *, params: list[Any] | None = None, **settings: Any) -> None:
        super().__init__(name, params=[_plain(param) for param in params or ()], **settings)


class PlainGroup(_PlainHelp, TyperGroup):
    """A group of commands whose own parameters take plain values as they are."""

    def __init__(self, *, params: list[Any] | None = None, **settings: Any) -> None:
        super().__init__(params=[_plain(param) for param in params or ()], **settings)


class _Plain:
    """What an option and an argument have in common: a copy of typer's, which takes plain values as they are."""

    def __init__(self, param: TyperOption | TyperArgument) -> None:
        vars(self).update(vars(param))

    def process_value(self, ctx: Any, value: Any) -> Any:
        """Return the value as the command gets it."""
        return _processed(self, ctx, value, super().process_value)  # type: ignore[misc]


class _PlainOption(_Plain, TyperOption):
    """An option that takes plain values as they are."""


class _PlainArgument(_Plain, TyperArgument):
    """An argument that takes plain values as they are."""


def _plain(param: Any) -> Any:
    if not hasattr(param, "type_descriptor"):  # of a version of typer that converts without pydantic
        return param
    if type(param) is TyperOption:
        return _PlainOption(param)
    return _PlainArgument(param) if type(param) is TyperArgument else param


def _processed(param: Any, ctx: Any, value: Any, convert: Callable[[Any, Any], Any]) -> Any:
    if not _is_plain(param, value):
        return convert(ctx, value)
    if param.multiple or param.nargs == -1:
        value = [*value] if value else ()
    return value if param.callback is None else param.callback(ctx, param, value)


def _is_plain(param: Any, value: Any) -> bool:
    """Return whether the value needs no conversion: it is not given, or of its parameter's type."""
    if value is None:
        return not param.required and param.nargs == 1
    described = param.type_descriptor
    if described.parameter_info.parser is not None:
        return False
    if described.annotation == list[str]:
        return bool(value) and isinstance(value, (list, tuple)) and all(type(each) is str for each in value)
    if described.annotation is int:
        return value is param.default  # one from the command line is a text yet
    return described.annotation in (str, bool) and type(value) is described.annotation
