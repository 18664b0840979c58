"""The options of the command line for an export as a bag."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from prefect_collect.errors import UsageError
from prefect_collect.formats.bag_profile import LONGEST

_PANEL: Final = "Bags (--format bagit, directory, bagit-tar, bagit-tar-zst)"

Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="LABEL=VALUE",
        help="A further line of bag-info.txt; can be repeated, also with the same label.",
        rich_help_panel=_PANEL,
    ),
]
BagProfileFile = Annotated[
    str | None,
    typer.Option(
        "--bag-profile",
        metavar="FILE",
        help="The BagIt profile (JSON) that the bag must conform to. Nothing is fetched.",
        rich_help_panel=_PANEL,
    ),
]


ExportTags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="LABEL=VALUE", help="For that export: a line of bag-info.txt; can be repeated."),
]
ExportProfile = Annotated[
    str | None,
    typer.Option("--bag-profile", metavar="FILE", help="For that export: the BagIt profile that the bag conforms to."),
]


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
