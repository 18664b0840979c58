"""The options of the command line for an export as a bag."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from prefect_collect.errors import UsageError
from prefect_collect.formats.bag_options import BagOptions, Volumes
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


VolumesOption = Annotated[
    Volumes | None,
    typer.Option("--volumes", help="For bagit-group: what each bag is.", show_default="zip", rich_help_panel=_PANEL),
]


def bag_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of `BagOptions` with the text of the profile instead of its file. Raise UsageError."""
    return {**given, "profile": bag_profile_text(given["profile"])} if "profile" in given else given


def bag_of(tags: list[str] | None, profile: str | None, **more: Any) -> dict[str, Any] | None:
    """Return the options that were given, as the flow takes them; None if none were. Raise UsageError."""
    given: dict[str, Any] = {"tags": tags or None, "profile": profile, **more}
    fields = {name: value for name, value in given.items() if value is not None}
    return BagOptions.of(bag_fields(fields)).to_json() if fields else None


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
