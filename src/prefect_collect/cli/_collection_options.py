"""The options that `collect`, `draft` and `edit` share: what to collect, how, and the export to make with it.

Each option is declared once, as a field of `WhatToCollect`, of `ExportOptions` or here. Its declaration says what it
sets: a parameter of the flow, or a field of the query, of the source's block, or of the export.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final

import typer

from prefect_collect.cli._export_options import ExportOptions, declarations, flag_of
from prefect_collect.cli._format_options import grouped, resolved
from prefect_collect.cli._option_groups import Of, groups_of
from prefect_collect.cli._what_to_collect import WhatToCollect
from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMAT_WORDS, Format, fitting_options
from prefect_collect.formats.incremental import require_possible_since
from prefect_collect.parameters import ON_THIS_MACHINE, When
from prefect_collect.sources.pattern_files import read_patterns
from prefect_collect.sources.query import Query
from prefect_collect.stores.addresses import DESTINATIONS

_OF_EXPORTS: Final = ("export", "format")


@dataclass(frozen=True, kw_only=True)
class _ExportToMake(WhatToCollect):
    """The options that say where, when and how to export the collection."""

    export_to: Annotated[
        str | None,
        typer.Option(
            metavar="DEST",
            help=f"Export the collection when it is done, to {DESTINATIONS}.",
        ),
        Of("export", "destination"),
    ] = None
    export_when: Annotated[
        When,
        typer.Option(help="When that export starts; completed includes partially completed."),
        Of("export", "when"),
    ] = "completed"
    export_format: Annotated[
        Format,
        typer.Option("--format", "--export-format", help=f"For that export: {FORMAT_WORDS}"),
        Of("export", "format"),
    ] = "bagit"


@dataclass(frozen=True, kw_only=True)
class CollectionOptions(ExportOptions, _ExportToMake):
    """The values of the options, with their defaults; `given` names those that were on the command line."""

    given: frozenset[str] = frozenset()

    @cached_property
    def query(self) -> dict[str, Any]:
        """Return the fields of the query that were given, with the patterns of files.

        Raise UsageError, InvalidQuery.
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

    def parameters(self, store: str | None = None) -> dict[str, Any]:
        """Return the parameters of the flow `collect`, except its source and store.

        `store` is the staging store in which earlier jobs are looked for; None for the default one.

        Raise UsageError if options contradict each other, InvalidQuery, InvalidLocation, JobNotFound.
        """
        if self.runner_address is not None and self.runner in ON_THIS_MACHINE:
            raise UsageError(f"--runner-address needs --runner dask or ray; {self.runner} runs on the job's machine.")
        export = self.auto_export(store=store)
        if export is not None:
            require_possible_since(self.export_format, since=self.since, deduplicate=self.deduplicate)
        return {"query": Query.of(self.query).to_json(), "auto_export": export, **self._of("flow")}

    def changes(self) -> dict[str, Any]:
        """Return the given parameters of the flow, except its query, source, store and export."""
        return self._of("flow", only_given=True)

    def auto_export(self, present: dict[str, Any] | None = None, store: str | None = None) -> dict[str, Any] | None:
        """Return the export to make with the collection: the given options over the `present` ones; None for none.

        Raise UsageError if an option of the export is given, but there is no export; JobNotFound if an earlier job is
        not there, in `store` (None for the default one) or in Prefect.
        """
        from prefect_collect.cli._find_job import found_jobs
        from prefect_collect.cli._places import destination

        changed = self._of("export", only_given=True)
        if self.export_to is None and present is None:
            self._require_no_export()
            return None
        if "duplicates_of" in changed:
            changed["duplicates_of"] = found_jobs(changed["duplicates_of"], store)
        given = resolved(self._of("format", only_given=True), store)
        if self.export_to is None and not changed and not given:
            return present  # as it is: another one would be another job
        format = changed.get("format") or (present or {}).get("format") or self.export_format
        fitting = grouped(format, given)
        if present is not None:
            present = fitting_options(format, present, fitting)
        for name, group in fitting.items():
            changed[name] = {**((present or {}).get(name) or {}), **group}
        if not changed:
            return present
        if self.export_to is not None:
            changed["destination"] = destination(self.export_to)
        return {**(present or {}), **changed}

    def _require_no_export(self) -> None:
        """Raise UsageError if an option of an export is given."""
        hints = declarations(CollectionOptions)
        for name, of in OPTIONS.items():
            if name in self.given and of.group in _OF_EXPORTS:
                raise UsageError(
                    f"{flag_of(name, hints[name])} needs --export-to, which makes an export of the collection."
                )

    def _of(self, group: str, *, only_given: bool = False) -> dict[str, Any]:
        """Return the values of the group's options, by the names of the fields that they set, without None."""
        values = {
            of.field or name: getattr(self, name)
            for name, of in OPTIONS.items()
            if of.group == group and (name in self.given or not only_given)
        }
        return {name: value for name, value in values.items() if value is not None}


OPTIONS: Final = groups_of(CollectionOptions)
"""What each option sets, by its name; the options for files of patterns are not in it, as they add to others."""
