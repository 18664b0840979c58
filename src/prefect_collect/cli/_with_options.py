"""Gives a command an option for each field of `CollectionOptions`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container
from dataclasses import fields
from typing import Any, get_type_hints

import typer

from prefect_collect.cli._collecting_options import GROUPS
from prefect_collect.cli._collection_options import OPTIONS, CollectionOptions


def with_collection_options(command: Callable[..., Any], *, groups: Container[str] = GROUPS) -> Callable[..., Any]:
    """Replace a command's parameter `options` by an option for each field of `CollectionOptions` in the groups."""
    hints = get_type_hints(CollectionOptions, include_extras=True)
    files = {"include_from": "query", "exclude_from": "query"}
    group_of = files | {name: of.group for name, of in OPTIONS.items()}
    chosen = [each for each in fields(CollectionOptions) if group_of.get(each.name) in groups]
    names = [each.name for each in chosen]
    ours = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name])
        for each in chosen
    ]
    own = inspect.signature(command, eval_str=True)
    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = list[inspect.Parameter]()
    for parameter in own.parameters.values():
        parameter = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += ours if parameter.name == "options" else [parameter]

    def run(context: typer.Context, **values: Any) -> Any:
        given = frozenset(name for name in names if context.get_parameter_source(name).name == "COMMANDLINE")  # type: ignore[union-attr]
        options = CollectionOptions(**{name: values.pop(name) for name in names}, given=given)
        return command(options=options, **values)

    replaced: Any = run
    replaced.__name__, replaced.__doc__ = command.__name__, command.__doc__
    replaced.__signature__ = inspect.Signature([context, *parameters])
    replaced.__annotations__ = {parameter.name: parameter.annotation for parameter in [context, *parameters]}
    made: Callable[..., Any] = replaced
    return made
