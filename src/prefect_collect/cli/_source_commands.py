"""The commands that look at data sources: their options and help; `_app` adds them to the program."""

from __future__ import annotations

from functools import partial

import typer

from prefect_collect.cli._collection_options import CollectionOptions
from prefect_collect.cli._options import JsonOption, SourceArgument, StoreOption
from prefect_collect.cli._with_options import with_options

sources = typer.Typer(invoke_without_command=True, no_args_is_help=False)


@sources.callback()
def list_all(context: typer.Context, json: JsonOption = False) -> int:
    """List the saved data sources, and the kinds of sources that are installed; or test one."""
    if context.invoked_subcommand is not None:
        return 0
    from prefect_collect.cli._sources import list_sources

    return list_sources(json=json)


@sources.command("test")
@partial(with_options, groups=("source", "query"))
def look_at(source: SourceArgument, options: CollectionOptions, json: JsonOption = False) -> int:
    """Connect to a source, list its first items, and count what a collection takes. Nothing is collected."""
    from prefect_collect.cli._sources import test_source

    return test_source(source, options, json=json)


@partial(with_options, groups=("source", "query"))
def estimate(
    source: SourceArgument, options: CollectionOptions, store: StoreOption = None, json: JsonOption = False
) -> int:
    """List a source, and say how many items and bytes a collection takes, and how long, judged by earlier jobs."""
    from prefect_collect.cli._estimate import estimate_source

    return estimate_source(source, options, store, json=json)
