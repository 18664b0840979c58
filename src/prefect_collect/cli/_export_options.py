"""The options of an export, declared once: for `export`, and for the export that `collect`, `draft` and `edit` make.

Those that only some formats take stand in a group of the help for each kind of package.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final, get_type_hints

import typer
from typer.models import OptionInfo

from prefect_collect.cli._format_options import format_options_of
from prefect_collect.cli._option_groups import EXPORT, FORMAT, groups_of
from prefect_collect.cli._options import size
from prefect_collect.formats import FORMATS
from prefect_collect.formats.bag_options import BagOptions, Volumes
from prefect_collect.formats.dataset import Dataset, Rows
from prefect_collect.formats.export_texts import EXPORT_TEXTS
from prefect_collect.formats.load_file import WIDTHS, Encoding, LoadFile, Tables, Unencodable
from prefect_collect.formats.mail_set import MailSet, MboxOf, Messages
from prefect_collect.formats.profiles import PRESETS
from prefect_collect.parameters import Deduplicate


def _panel(title: str, parameter: str) -> str:
    """Return the heading of the options that an export carries in a parameter, with the formats that take them."""
    return f"{title} (--format {', '.join(name for name, one in FORMATS.items() if parameter in one.options)})"


_BAGS: Final = _panel("Bags", BagOptions.parameter)
_LOAD_FILES: Final = _panel("Load files", LoadFile.parameter)
_MAIL: Final = _panel("Mail", MailSet.parameter)
_DATASETS: Final = _panel("Datasets", Dataset.parameter)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The values of the options, with their defaults; None is the default of the format."""

    sha512: Annotated[bool, typer.Option("--sha512", help=EXPORT_TEXTS["sha512"]), EXPORT] = False
    portable_names: Annotated[
        bool,
        typer.Option(
            "--portable-names",
            help=EXPORT_TEXTS["portable_names"],
        ),
        EXPORT,
    ] = False
    deduplicate: Annotated[
        Deduplicate | None,
        typer.Option(help=EXPORT_TEXTS["deduplicate"]),
        EXPORT,
    ] = None
    duplicates_of: Annotated[
        list[str] | None,
        typer.Option(
            metavar="JOB",
            help="Mark items that this earlier job has, too; with --deduplicate, what such an export delivered is not "
            "delivered again. May be given more than once.",
        ),
        EXPORT,
    ] = None
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag",
            metavar="LABEL=VALUE",
            help="A further line of bag-info.txt; can be repeated, also with the same label.",
            rich_help_panel=_BAGS,
        ),
        FORMAT,
    ] = None
    bag_profile: Annotated[
        str | None,
        typer.Option(
            "--bag-profile",
            metavar="FILE",
            help="The BagIt profile (JSON) that the bag must conform to. Nothing is fetched.",
            rich_help_panel=_BAGS,
        ),
        FORMAT,
    ] = None
    volumes: Annotated[
        Volumes | None,
        typer.Option(help="What each bag of a bagit-group is.", show_default=BagOptions.volumes, rich_help_panel=_BAGS),
        FORMAT,
    ] = None
    prefix: Annotated[
        str | None,
        typer.Option(
            help="What control numbers begin with.",
            show_default=LoadFile.prefix,
            metavar="TEXT",
            rich_help_panel=_LOAD_FILES,
        ),
        FORMAT,
    ] = None
    width: Annotated[
        int | None,
        typer.Option(
            min=WIDTHS[0],
            max=WIDTHS[1],
            help="The digits of control numbers.",
            show_default=str(LoadFile.width),
            rich_help_panel=_LOAD_FILES,
        ),
        FORMAT,
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar=f"{'|'.join(PRESETS)}|FILE",
            help="The columns: a preset, or a file with lines such as BEGDOC = control_number.",
            show_default=LoadFile.profile,
            rich_help_panel=_LOAD_FILES,
        ),
        FORMAT,
    ] = None
    tables: Annotated[
        Tables | None,
        typer.Option(
            help="A Concordance DAT file, a CSV file, or both.",
            show_default=LoadFile.tables,
            rich_help_panel=_LOAD_FILES,
        ),
        FORMAT,
    ] = None
    encoding: Annotated[
        Encoding | None,
        typer.Option(help="The load file's encoding.", show_default=LoadFile.encoding, rich_help_panel=_LOAD_FILES),
        FORMAT,
    ] = None
    unencodable: Annotated[
        Unencodable | None,
        typer.Option(
            help="What becomes of characters that cp1252 does not have.",
            show_default=LoadFile.unencodable,
            rich_help_panel=_LOAD_FILES,
        ),
        FORMAT,
    ] = None
    volume_items: Annotated[
        int | None,
        typer.Option(min=1, help="Begin a new volume after that many items.", rich_help_panel=_LOAD_FILES),
        FORMAT,
    ] = None
    volume_bytes: Annotated[
        int | None,
        typer.Option(
            "--volume-size",
            parser=size,
            metavar="SIZE",
            help="Begin a new volume, bag or mbox file before it is larger.",
            rich_help_panel=_LOAD_FILES,
        ),
        FORMAT,
    ] = None
    continue_from: Annotated[
        str | None,
        typer.Option(
            metavar="JOB",
            help="Continue this earlier export: its items keep their numbers, new ones go on after its last.",
            rich_help_panel=_LOAD_FILES,
        ),
        FORMAT,
    ] = None
    messages: Annotated[
        Messages | None,
        typer.Option(
            help="Messages together in mbox files, or each as an EML file.",
            show_default=MailSet.messages,
            rich_help_panel=_MAIL,
        ),
        FORMAT,
    ] = None
    mbox_of: Annotated[
        MboxOf | None,
        typer.Option(
            help="An mbox file for each folder, or one for all messages.",
            show_default=MailSet.mbox_of,
            rich_help_panel=_MAIL,
        ),
        FORMAT,
    ] = None
    rows: Annotated[
        Rows | None,
        typer.Option(
            help="Rows in the Parquet files that were collected, or as CSV.",
            show_default=Dataset.rows,
            rich_help_panel=_DATASETS,
        ),
        FORMAT,
    ] = None
    hive: Annotated[
        bool,
        typer.Option(
            "--hive",
            help="Name folders and files as Hive does: table=NAME/part-00000.parquet.",
            rich_help_panel=_DATASETS,
        ),
        FORMAT,
    ] = False

    def parameters_of(self, format: str, store: str | None) -> dict[str, Any]:
        """Return the parameters of the flow `export` that the options set.

        Raise UsageError, and JobNotFound for an earlier job that is in no staging store.
        """
        from prefect_collect.cli._find_job import found_jobs

        given = {group: self._values(group) for group in ("export", "format")}
        given["export"]["duplicates_of"] = found_jobs(self.duplicates_of, store)
        return given["export"] | format_options_of(format, given["format"], store)

    def _values(self, group: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name, of in groups_of(ExportOptions).items() if of.group == group}


def declarations(options: Any) -> dict[str, Any]:
    """Return the types of a class of options with their declarations, by name.

    In a class of more than an export's options, these say that they are those of the export that follows, and no
    default: what is not given stays as it is in a draft.
    """
    hints = get_type_hints(options, include_extras=True)
    if options is not ExportOptions:
        hints |= {each.name: _of_that_export(hints[each.name]) for each in fields(ExportOptions) if each.name in hints}
    return hints


def _of_that_export(hint: Any) -> Any:
    words = option_in(hint).help or ""
    return _declared_anew(hint, help=f"For that export: {words[:1].lower()}{words[1:]}", show_default=False)


def without_default(hint: Any) -> Any:
    """Return a declaration whose help names no default, as where an option that is not given changes nothing."""
    return _declared_anew(hint, show_default=False)


def _declared_anew(hint: Any, **changed: Any) -> Any:
    option = copy.copy(option_in(hint))
    for name, value in changed.items():
        setattr(option, name, value)
    return Annotated[hint.__origin__, option, *(said for said in hint.__metadata__ if not isinstance(said, OptionInfo))]


def option_in(hint: Any) -> OptionInfo:
    """Return the option that a field is declared as."""
    [option] = [said for said in hint.__metadata__ if isinstance(said, OptionInfo)]
    return option


def flag_of(name: str, hint: Any) -> str:
    """Return what the option that a field of this name is declared as is called on the command line."""
    declared = option_in(hint).default  # in a declaration, typer takes the first name that is given for the default
    return declared if isinstance(declared, str) else f"--{name.replace('_', '-')}"
