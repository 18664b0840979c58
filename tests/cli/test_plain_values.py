"""Values of the command line that need no conversion reach a command as typer would hand them over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.core import TyperArgument, TyperOption
from typer.main import get_command

from prefect_collect.cli._app import program


def _parameters() -> Iterator[tuple[Any, Any, Any]]:
    """Yield each parameter of each command, with its context and as typer alone has it."""
    group: Any = get_command(program([]))
    for command in (group, *group.commands.values()):
        context = command.context_class(command, info_name=command.name)
        for param in command.get_params(context):
            of = TyperOption if isinstance(param, TyperOption) else TyperArgument
            typers: Any = object.__new__(of)
            vars(typers).update(vars(param))
            yield context, param, typers


def _answer(param: Any, context: Any, value: Any) -> tuple[object, ...]:
    try:
        answer = param.process_value(context, value)
    except Exception as error:
        return type(error), str(error)
    return type(answer), answer


def test_each_parameter_takes_plain_values_as_typer_does() -> None:
    """Of every parameter but those that end the program: no value, its default, texts, numbers and lists of texts."""
    compared = plain = 0
    for context, param, typers in _parameters():
        if param.name in ("help", "version"):
            continue
        for value in (None, param.default, "", "text", "é\udcff", " 7 ", "-1", 3, True, (), ("a", "b"), ["a"]):
            assert _answer(param, context, value) == _answer(typers, context, value), (context.info_name, param, value)
            compared += 1
        plain += type(param) is not type(typers)
    assert plain > 100
    assert compared >= 12 * plain


@pytest.mark.parametrize("arguments", [["--limit", "x"], ["--limit", "-1"], ["--kind", "x"], ["--nothing"], ["a"]])
def test_what_is_no_plain_value_is_refused_as_before(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A number, a choice, and what is no parameter are checked by typer, and an error is one line."""
    from prefect_collect.cli import run

    assert run(["jobs", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
