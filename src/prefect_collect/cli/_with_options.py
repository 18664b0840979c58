"""Gives a command an option for each field of a class of options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container
from dataclasses import fields
from typing import Any

import typer

from prefect_collect.cli._export_options import declarations, without_default
from prefect_collect.cli._option_groups import GROUPS, groups_of
from prefect_collect.cli._what_to_collect import FILES


def with_options(
    command: Callable[..., Any], *, groups: Container[str] = GROUPS, defaults: bool = True
) -> Callable[..., Any]:
    """Replace a command's parameter `options` by an option for each field of its class in the groups.

    The class's field `given`, if there is one, gets the names of the options that are on the command line. Without
    `defaults`, the help names none: what is not given stays as it is.
    """
    own = inspect.signature(command, eval_str=True)
    options = own.parameters["options"].annotation
    hints = declarations(options)
    group_of = FILES | {name: of.group for name, of in groups_of(options).items()}
    chosen = [each for each in fields(options) if group_of.get(each.name) in groups]
    names = [each.name for each in chosen]
    if not defaults:
        hints |= {name: without_default(hints[name]) for name in names}
    tells_given = any(each.name == "given" for each in fields(options))
    ours = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name])
        for each in chosen
    ]
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = list[inspect.Parameter]()
    for parameter in own.parameters.values():
        parameter = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += ours if parameter.name == "options" else [parameter]

    def run(context: typer.Context, **values: Any) -> Any:
        made = {name: values.pop(name) for name in names}
        if tells_given:
            made["given"] = frozenset(
                name
                for name in names
                if context.get_parameter_source(name).name == "COMMANDLINE"  # type: ignore[union-attr]
            )
        return command(options=options(**made), **values)

    replaced: Any = run
    replaced.__name__, replaced.__doc__ = command.__name__, command.__doc__
    replaced.__signature__ = inspect.Signature([context, *parameters])
    replaced.__annotations__ = {parameter.name: parameter.annotation for parameter in [context, *parameters]}
    made: Callable[..., Any] = replaced
    return made
