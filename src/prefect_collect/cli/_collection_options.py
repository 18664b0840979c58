"""The options of every command that says what to collect and how: `collect`, `draft` and `edit` take the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

from prefect_collect.cli._options import Format, OnEmpty, Runner, Since, When, size
from prefect_collect.errors import UsageError
from prefect_collect.pattern_files import read_patterns

_QUERY: Final = ("include", "exclude", "modified_after", "modified_before", "min_size", "max_size", "limit")
_ACCESS: Final = ("endpoint_url", "region", "anonymous", "request_payer", "follow_symlinks")
_FLOW: Final = (
    "tolerated_failure_percentage", "on_empty", "compress", "tries", "concurrency",
    "since", "runner", "runner_address", "workers",
)  # fmt: skip
_EXPORT: Final = {
    "export_to": "destination",
    "export_when": "when",
    "export_format": "format",
    "sha512": "sha512",
    "portable_names": "portable_names",
}


@dataclass(frozen=True, kw_only=True)
class CollectionOptions:
    """What the options said, the defaults included; `given` are the names of those that were on the command line."""

    name: Annotated[str | None, typer.Option(help="What to call the job.", show_default="the source's name")] = None
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Take only paths that match, as '*.pdf' or 'mail/**'. Can be repeated."),
    ] = None
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Leave out paths that match. Can be repeated.")
    ] = None
    include_from: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="More to take: the globs of that file, one a line; # begins a comment."),
    ] = None
    exclude_from: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="More to leave out: the globs of that file.")
    ] = None
    modified_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Take what was modified then or later, as 2026-01-31 (UTC).")
    ] = None
    modified_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Take what was modified before that time.")
    ] = None
    min_size: Annotated[int | None, typer.Option(parser=size, metavar="SIZE", help="At least so large, as 10k.")] = None
    max_size: Annotated[int | None, typer.Option(parser=size, metavar="SIZE", help="At most so large, as 2G.")] = None
    limit: Annotated[int | None, typer.Option(min=0, help="Take at most so many items.")] = None
    follow_symlinks: Annotated[
        bool, typer.Option("--follow-symlinks", help="Of a folder: collect what links point to, inside the folder.")
    ] = False
    endpoint_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The source's server, if not the cloud provider's own.")
    ] = None
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="The region of the source's S3 bucket.", show_default="found out"),
    ] = None
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Read the source without credentials: a public bucket.")
    ] = False
    request_payer: Annotated[
        bool,
        typer.Option("--request-payer", help="Pay for reading the source: an S3 bucket that has requesters pay."),
    ] = False
    tolerated_failure_percentage: Annotated[
        float, typer.Option(min=0, max=100, help="Stop early when more of the items than that have failed.")
    ] = 100.0
    on_empty: Annotated[OnEmpty, typer.Option(help="What it is when nothing matches.")] = OnEmpty.SUCCEED
    compress: Annotated[
        bool, typer.Option("--compress/--no-compress", help="Deflate staged items that get smaller by it.")
    ] = False
    tries: Annotated[int, typer.Option(min=1, max=100, help="How often to try an item that fails in passing.")] = 5
    concurrency: Annotated[
        int, typer.Option(min=1, max=1024, help="How many small items of a shard to read at once.")
    ] = 32
    since: Annotated[
        Since | None, typer.Option(help="last: only what is new or changed since this source was collected last.")
    ] = None
    runner: Annotated[
        Runner, typer.Option(help="Where shards run: in threads of the job's process, or on a cluster.")
    ] = Runner.THREADS
    runner_address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The Dask or Ray cluster.", show_default="one started for the job"),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Shards to collect at once.", show_default="2 threads, or the cluster's"),
    ] = None
    export_to: Annotated[
        str | None,
        typer.Option(
            metavar="DEST",
            help="Make an export too, which starts by itself when the collection is done: a folder, "
            "s3://bucket/prefix, or a saved block as collect-s3-store/NAME or "
            "collect-directory-store/NAME.",
        ),
    ] = None
    export_when: Annotated[
        When, typer.Option(help="When that export starts: completed includes partially completed.")
    ] = When.COMPLETED
    export_format: Annotated[
        Format, typer.Option("--export-format", "--format", help="Of that export: a bag as one ZIP file, or unpacked.")
    ] = Format.BAGIT
    sha512: Annotated[bool, typer.Option("--sha512", help="Of that export: SHA-512 manifests too.")] = False
    portable_names: Annotated[
        bool, typer.Option("--portable-names", help="Of that export: names that Windows and macOS take too.")
    ] = False
    given: frozenset[str] = frozenset()

    @cached_property
    def query(self) -> dict[str, Any]:
        """The fields of the query that were given, with the patterns of files. Raises UsageError, InvalidQuery."""
        fields = {name: getattr(self, name) for name in _QUERY if getattr(self, name) not in (None, [])}
        for name, files in (("include", self.include_from), ("exclude", self.exclude_from)):
            for file in files or ():
                fields[name] = [*fields.get(name, ()), *read_patterns(file, name)]
        return fields

    @property
    def access(self) -> dict[str, Any]:
        """How to get at the source, as far as it was given."""
        return {name: getattr(self, name) for name in _ACCESS if getattr(self, name) not in (None, False)}

    def flow_options(self, *, only_given: bool = False) -> dict[str, Any]:
        """The remaining parameters of the flow, as it takes them. Raises UsageError if they contradict each other."""
        if self.runner_address is not None and self.runner is Runner.THREADS and not only_given:
            raise UsageError("--runner-address goes with --runner dask or ray; threads run in the job's own process.")
        names = [name for name in _FLOW if not only_given or name in self.given]
        values = {name: _plain(getattr(self, name)) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def auto_export(self, present: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The export to make with the collection: what was given, over what is `present`; None for none.

        Raises UsageError if there is nothing that an option could be of.
        """
        from prefect_collect.cli._places import destination

        given = [name for name in _EXPORT if name in self.given]
        if not given:
            return present
        if self.export_to is None and present is None:
            raise UsageError(f"{_flag(given[0])} goes with --export-to, which makes an export of the collection.")
        changed = {_EXPORT[name]: _plain(getattr(self, name)) for name in given}
        if self.export_to is not None:
            changed["destination"] = destination(self.export_to)
        return {**(present or {}), **changed}


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def with_collection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command with its parameter `options` replaced by an option for each field of `CollectionOptions`."""
    hints = get_type_hints(CollectionOptions, include_extras=True)
    chosen = [each for each in fields(CollectionOptions) if each.name != "given"]
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
