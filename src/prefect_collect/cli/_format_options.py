"""The options of the command line that only some formats of packages take."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from prefect_collect.cli._options import size
from prefect_collect.errors import UsageError
from prefect_collect.formats import grouped_options, parsed_options
from prefect_collect.formats.bag_options import BagOptions, Volumes
from prefect_collect.formats.bag_profile import LONGEST
from prefect_collect.formats.dataset import Dataset, Rows
from prefect_collect.formats.load_file import WIDTHS, Encoding, LoadFile, Tables, Unencodable
from prefect_collect.formats.mail_set import MailSet, MboxOf, Messages
from prefect_collect.formats.profiles import PRESETS

_PANEL: Final = "Load files (--format loadfile)"
_BAGS: Final = "Bags (--format bagit, directory, bagit-tar, bagit-tar-zst, bagit-group)"
_MAIL: Final = "Mail (--format mail)"
_DATASETS: Final = "Datasets (--format dataset)"
_LONGEST: Final = 64 << 10

Prefix = Annotated[
    str | None,
    typer.Option(
        help="What control numbers begin with.", show_default=LoadFile.prefix, metavar="TEXT", rich_help_panel=_PANEL
    ),
]
Width = Annotated[
    int | None,
    typer.Option(
        min=WIDTHS[0], max=WIDTHS[1], help="The digits of control numbers.", show_default=str(LoadFile.width),
        rich_help_panel=_PANEL,
    ),
]  # fmt: skip
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar=f"{'|'.join(PRESETS)}|FILE",
        help="The columns: a preset, or a file with lines such as BEGDOC = control_number.",
        show_default=LoadFile.profile,
        rich_help_panel=_PANEL,
    ),
]
TablesOption = Annotated[
    Tables | None,
    typer.Option(
        help="A Concordance DAT file, a CSV file, or both.", show_default=LoadFile.tables, rich_help_panel=_PANEL
    ),
]
EncodingOption = Annotated[
    Encoding | None,
    typer.Option(help="The load file's encoding.", show_default=LoadFile.encoding, rich_help_panel=_PANEL),
]
UnencodableOption = Annotated[
    Unencodable | None,
    typer.Option(
        help="What becomes of characters that cp1252 does not have.", show_default=LoadFile.unencodable,
        rich_help_panel=_PANEL,
    ),
]  # fmt: skip
VolumeItems = Annotated[
    int | None, typer.Option(min=1, help="Begin a new volume after that many items.", rich_help_panel=_PANEL)
]
VolumeBytes = Annotated[
    int | None,
    typer.Option(
        "--volume-size", parser=size, metavar="SIZE", help="Begin a new volume, bag or mbox file before it is larger.",
        rich_help_panel=_PANEL,
    ),
]  # fmt: skip
ContinueFrom = Annotated[
    str | None,
    typer.Option(
        metavar="JOB",
        help="An earlier export: its items keep their numbers, new ones go on after its last.",
        rich_help_panel=_PANEL,
    ),
]
MessagesOption = Annotated[
    Messages | None,
    typer.Option(
        help="Messages together in mbox files, or each as an EML file.", show_default=MailSet.messages,
        rich_help_panel=_MAIL,
    ),
]  # fmt: skip
MboxOfOption = Annotated[
    MboxOf | None,
    typer.Option(
        help="An mbox file for each folder, or one for all messages.", show_default=MailSet.mbox_of,
        rich_help_panel=_MAIL,
    ),
]  # fmt: skip
RowsOption = Annotated[
    Rows | None,
    typer.Option(
        help="Rows in the Parquet files that were collected, or as CSV.", show_default=Dataset.rows,
        rich_help_panel=_DATASETS,
    ),
]  # fmt: skip
HiveOption = Annotated[
    bool,
    typer.Option(
        "--hive", help="Name folders and files as Hive does: table=NAME/part-00000.parquet.", rich_help_panel=_DATASETS
    ),
]
TagsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="LABEL=VALUE",
        help="A further line of bag-info.txt; can be repeated, also with the same label.",
        rich_help_panel=_BAGS,
    ),
]
BagProfileOption = Annotated[
    str | None,
    typer.Option(
        "--bag-profile",
        metavar="FILE",
        help="The BagIt profile (JSON) that the bag must conform to. Nothing is fetched.",
        rich_help_panel=_BAGS,
    ),
]
VolumesOption = Annotated[
    Volumes | None,
    typer.Option(help="For bagit-group: what each bag is.", show_default=BagOptions.volumes, rich_help_panel=_BAGS),
]


def format_options_of(format: str, given: dict[str, Any], store: str | None) -> dict[str, dict[str, Any]]:
    """Return the options that were given (are neither None nor False), by the parameters of the flow that take them.

    Raise UsageError, and JobNotFound for an export that is in no staging store.
    """
    fields = resolved(
        {name: value for name, value in given.items() if value is not None and value is not False and value != []},
        store,
    )
    made = grouped_options(format, fields)
    parsed_options(made)
    return made


def resolved(given: dict[str, Any], store: str | None) -> dict[str, Any]:
    """Return the options with the text of each file that they name, and the id of the job. Raise as the above."""
    from prefect_collect.cli._find_job import find_job

    read: dict[str, Callable[[str], str]] = {
        "profile": profile_text,
        "bag_profile": bag_profile_text,
        "continue_from": lambda job: find_job(job, store, served=True).id,
    }
    return {name: read[name](value) if name in read else value for name, value in given.items()}


def profile_text(given: str) -> str:
    """Return a preset's name as it is, or the lines of a file. Raise UsageError."""
    if given.lower() in PRESETS or not os.path.lexists(given):
        return given
    try:
        data = Path(given).read_bytes()
        if len(data) > _LONGEST:
            raise UsageError(f"The profile is larger than {_LONGEST:,} bytes. [profile={given}]")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"The profile cannot be read ({error.strerror}). [profile={given}]") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The profile is not UTF-8. [profile={given}]") from error


def bag_profile_text(file: str) -> str:
    """Return the text of a profile's file. Raise UsageError."""
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(4 * LONGEST + 1)
        if len(data) > 4 * LONGEST:
            raise UsageError(f"The BagIt profile is larger than {4 * LONGEST:,} bytes. [profile={file}]")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"The BagIt profile cannot be read ({error.strerror}). [profile={file}]") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The BagIt profile is not UTF-8. [profile={file}]") from error
