"""The options of the command line for an export as a load file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from prefect_collect.cli._options import size
from prefect_collect.errors import UsageError
from prefect_collect.formats.load_file import WIDTHS, Encoding, LoadFile, Tables, Unencodable
from prefect_collect.formats.profiles import PRESETS

_PANEL: Final = "Load files (--format loadfile)"
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
        "--volume-size", parser=size, metavar="SIZE", help="Begin a new volume, or bag, before it is larger.",
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

ExportPrefix = Annotated[
    str | None, typer.Option(metavar="TEXT", help="For that export: what control numbers begin with.")
]
ExportColumns = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="For that export: the columns of the load file.")
]


def load_file_of(given: dict[str, Any], store: str | None) -> dict[str, Any] | None:
    """Return the options that were given, as the flow takes them; None if none were.

    Raise UsageError, and JobNotFound for an export that is in no staging store.
    """
    from prefect_collect.cli._find_job import find_job

    fields = {name: value for name, value in given.items() if value is not None}
    if not fields:
        return None
    if "profile" in fields:
        fields["profile"] = profile_text(fields["profile"])
    if "continue_from" in fields:
        fields["continue_from"] = find_job(fields["continue_from"], store, served=True).id
    LoadFile.of(fields)
    return fields


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
