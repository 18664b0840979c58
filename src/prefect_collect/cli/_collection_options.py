"""The options that `collect`, `draft` and `edit` share: what to collect, and how.

Each option is declared once, as a field of `CollectionOptions`. Its declaration says what it sets: a parameter of the
flow, or a field of the query, of the source's block, or of the export that is made with the collection.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

import typer

from prefect_collect.cli import _format_options as of_formats
from prefect_collect.cli._options import custodian, custodian_of, hash_name, size
from prefect_collect.cli._options import custodian_folder as custodian_folder_of
from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMAT_WORDS, Format, fitting_options, grouped_options
from prefect_collect.parameters import (
    Concurrency,
    OnEmpty,
    Percentage,
    Runner,
    Since,
    Tries,
    When,
    Workers,
    bounds,
)
from prefect_collect.sources.pattern_files import read_patterns
from prefect_collect.sources.query import Query

Group = Literal["query", "source", "flow", "export", "format"]
GROUPS: Final = frozenset(get_args(Group))
_OF_EXPORTS: Final = ("export", "format")


@dataclass(frozen=True)
class _Of:
    """What an option sets: a field of this group, of the same name as the option if `field` is empty."""

    group: Group
    field: str = ""


_QUERY: Final = _Of("query")
_SOURCE: Final = _Of("source")
_FLOW: Final = _Of("flow")
_EXPORT: Final = _Of("export")
_FORMAT: Final = _Of("format")


@dataclass(frozen=True, kw_only=True)
class CollectionOptions:
    """The values of the options, with their defaults; `given` names those that were on the command line."""

    name: Annotated[str | None, typer.Option(help="The job's name.", show_default="the source's name"), _FLOW] = None
    custodian: Annotated[
        str | None,
        typer.Option(parser=custodian, metavar="NAME", help="The person or department whose data is collected."),
        _FLOW,
    ] = None
    custodian_folder: Annotated[
        str | None,
        typer.Option(
            parser=custodian_folder_of,
            metavar="PATH",
            help="Where each custodian has a folder, as 'home/{custodian}': items below are theirs.",
        ),
        _FLOW,
    ] = None
    custodians: Annotated[
        list[str] | None,
        typer.Option(
            "--custodian-of",
            parser=custodian_of,
            metavar="PATTERN=NAME",
            help="Whose the items at such paths are, as 'mail/anna/**=Anna': the first that matches. Can be repeated.",
        ),
        _FLOW,
    ] = None
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Collect only paths that match, such as '*.pdf' or 'mail/**'. Can be repeated."
        ),
        _QUERY,
    ] = None
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Leave out paths that match. Can be repeated."), _QUERY
    ] = None
    include_from: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Read more globs to include from a file, one a line; # begins a comment."),
    ] = None
    exclude_from: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Read more globs to exclude from a file, one a line.")
    ] = None
    modified_after: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only items modified at that time (UTC) or later, such as 2026-01-31."),
        _QUERY,
    ] = None
    modified_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only items modified before that time."), _QUERY
    ] = None
    min_size: Annotated[
        int | None, typer.Option(parser=size, metavar="SIZE", help="Only items of at least that size, as 10k."), _QUERY
    ] = None
    max_size: Annotated[
        int | None, typer.Option(parser=size, metavar="SIZE", help="Only items of at most that size, as 2G."), _QUERY
    ] = None
    limit: Annotated[int | None, typer.Option(min=0, help="Collect at most that many items."), _QUERY] = None
    follow_symlinks: Annotated[
        bool,
        typer.Option("--follow-symlinks", help="For a folder, or sftp://: collect what links point to, inside it."),
        _SOURCE,
    ] = False
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="For urls://: allow URLs and redirects to private or local addresses."),
        _SOURCE,
    ] = False
    endpoint_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The source's server, if not the cloud provider's own."),
        _SOURCE,
    ] = None
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="The region of the source's S3 bucket.", show_default="detected"),
        _SOURCE,
    ] = None
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Read the source without credentials: a public bucket."), _SOURCE
    ] = False
    request_payer: Annotated[
        bool,
        typer.Option("--request-payer", help="Pay for reading the source: an S3 bucket with Requester Pays."),
        _SOURCE,
    ] = False
    versions: Annotated[
        Literal["current", "all"],
        typer.Option(help="all: every version of each object of an S3 bucket, and its delete markers."),
        _SOURCE,
    ] = "current"
    tolerated_failure_percentage: Annotated[
        Percentage,
        typer.Option(**bounds(Percentage), help="Stop when more than this percentage of the items has failed."),
        _FLOW,
    ] = 100.0
    on_empty: Annotated[OnEmpty, typer.Option(help="How the job ends if no item matches."), _FLOW] = "succeed"
    compress: Annotated[
        bool, typer.Option("--compress/--no-compress", help="Compress staged items that get smaller by it."), _FLOW
    ] = False
    hashes: Annotated[
        list[str] | None,
        typer.Option(
            "--hash", parser=hash_name, metavar="md5|sha1", help="Compute that hash of every item too. Can be repeated."
        ),
        _FLOW,
    ] = None
    tries: Annotated[
        Tries, typer.Option(**bounds(Tries), help="How often to try an item that fails by a temporary error."), _FLOW
    ] = 5
    concurrency: Annotated[
        Concurrency, typer.Option(**bounds(Concurrency), help="Small items of a shard to read at once."), _FLOW
    ] = 32
    since: Annotated[
        Since | None,
        typer.Option(help="last: only items that are new or changed since this source was collected last."),
        _FLOW,
    ] = None
    runner: Annotated[
        Runner, typer.Option(help="Where shards run: in threads, in processes on all cores, or on a cluster."), _FLOW
    ] = "threads"
    runner_address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The Dask or Ray cluster.", show_default="one started for the job"),
        _FLOW,
    ] = None
    workers: Annotated[
        Workers,
        typer.Option(
            **bounds(Workers),
            help="Shards to collect at once.",
            show_default="2 threads, a process for each core, or the cluster's",
        ),
        _FLOW,
    ] = None
    export_to: Annotated[
        str | None,
        typer.Option(
            metavar="DEST",
            help="Export the collection when it is done, to a folder, s3://bucket/prefix (gs:// and az:// alike), or a "
            "saved block (collect-s3-store/NAME, collect-cloud-store/NAME or collect-directory-store/NAME).",
        ),
        _Of("export", "destination"),
    ] = None
    export_when: Annotated[
        When,
        typer.Option(help="When that export starts; completed includes partially completed."),
        _Of("export", "when"),
    ] = "completed"
    export_format: Annotated[
        Format,
        typer.Option("--export-format", "--format", help=f"For that export: {FORMAT_WORDS}"),
        _Of("export", "format"),
    ] = "bagit"
    sha512: Annotated[bool, typer.Option("--sha512", help="For that export: SHA-512 manifests too."), _EXPORT] = False
    portable_names: Annotated[
        bool,
        typer.Option("--portable-names", help="For that export: names that Windows and macOS accept too."),
        _EXPORT,
    ] = False
    deduplicate: Annotated[of_formats.AutoDeduplicate, _EXPORT] = None
    tag: Annotated[of_formats.AutoTags, _FORMAT] = None
    bag_profile: Annotated[of_formats.AutoBagProfile, _FORMAT] = None
    prefix: Annotated[of_formats.AutoPrefix, _FORMAT] = None
    profile: Annotated[of_formats.AutoProfile, _FORMAT] = None
    messages: Annotated[of_formats.AutoMessages, _FORMAT] = None
    rows: Annotated[of_formats.AutoRows, _FORMAT] = None
    given: frozenset[str] = frozenset()

    @cached_property
    def query(self) -> dict[str, Any]:
        """Return the fields of the query that were given, with the patterns of files.

        Raises UsageError, InvalidQuery.
        """
        fields = {name: value for name, value in self._of("query").items() if value != []}
        for name, files in (("include", self.include_from), ("exclude", self.exclude_from)):
            for file in files or ():
                fields[name] = [*fields.get(name, ()), *read_patterns(file, name)]
        return fields

    @property
    def access(self) -> dict[str, Any]:
        """Return the given options of access to the source: fields of the source's block."""
        return {name: value for name, value in self._of("source").items() if value not in (False, "current")}

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the flow `collect`, except its source and store.

        Raises UsageError if options contradict each other, InvalidQuery, InvalidLocation.
        """
        if self.runner_address is not None and self.runner in ("threads", "processes"):
            raise UsageError(f"--runner-address needs --runner dask or ray; {self.runner} run on the job's machine.")
        return {"query": Query.of(self.query).to_json(), "auto_export": self.auto_export(), **self._of("flow")}

    def changes(self) -> dict[str, Any]:
        """Return the given parameters of the flow, except its query, source, store and export."""
        return self._of("flow", only_given=True)

    def auto_export(self, present: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the export to make with the collection: the given options over the `present` ones; None for none.

        Raise UsageError if an option of the export is given, but there is no export.
        """
        from prefect_collect.cli._places import destination

        changed = self._of("export", only_given=True)
        given = of_formats.texts_of_files(self._of("format", only_given=True))
        format = changed.get("format") or (present or {}).get("format") or self.export_format
        grouped = grouped_options(format, given)
        if present is not None:
            present = fitting_options(format, present, grouped)
        for name, group in grouped.items():
            changed[name] = {**((present or {}).get(name) or {}), **group}
        if not changed:
            return present
        if self.export_to is None and present is None:
            first = next(name for name in OPTIONS if name in self.given and OPTIONS[name].group in _OF_EXPORTS)
            raise UsageError(f"--{first.replace('_', '-')} needs --export-to, which makes an export of the collection.")
        if self.export_to is not None:
            changed["destination"] = destination(self.export_to)
        return {**(present or {}), **changed}

    def _of(self, group: str, *, only_given: bool = False) -> dict[str, Any]:
        """Return the values of the group's options, by the names of the fields that they set, without None."""
        values = {
            of.field or name: getattr(self, name)
            for name, of in OPTIONS.items()
            if of.group == group and (name in self.given or not only_given)
        }
        return {name: value for name, value in values.items() if value is not None}


def _declared() -> dict[str, _Of]:
    hints = get_type_hints(CollectionOptions, include_extras=True)
    declared = ((each.name, getattr(hints[each.name], "__metadata__", ())) for each in fields(CollectionOptions))
    return {name: what for name, metadata in declared for what in metadata if isinstance(what, _Of)}


OPTIONS: Final = _declared()
"""What each option sets, by its name; the options for files of patterns are not in it, as they add to others."""
