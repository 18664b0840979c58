"""The options of the command line for the format of an export that follows a collection."""

from __future__ import annotations

from typing import Annotated

import typer

from prefect_collect.cli._options import size
from prefect_collect.formats.bag_options import Volumes
from prefect_collect.formats.dataset import Rows
from prefect_collect.formats.load_file import WIDTHS, Encoding, Tables, Unencodable
from prefect_collect.formats.mail_set import MboxOf, Messages
from prefect_collect.parameters import Deduplicate

AutoTags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="LABEL=VALUE", help="For that export: a line of bag-info.txt; can be repeated."),
]
AutoBagProfile = Annotated[
    str | None,
    typer.Option("--bag-profile", metavar="FILE", help="For that export: the BagIt profile that the bag conforms to."),
]
AutoVolumes = Annotated[Volumes | None, typer.Option(help="For that export as bagit-group: what each bag is.")]
AutoDeduplicate = Annotated[Deduplicate | None, typer.Option(help="For that export: items with the same bytes once.")]
AutoDuplicatesOf = Annotated[
    list[str] | None,
    typer.Option(metavar="JOB", help="For that export: mark items that this earlier job has; can be repeated."),
]
AutoVolumeBytes = Annotated[
    int | None,
    typer.Option(
        "--volume-size", parser=size, metavar="SIZE", help="For that export: the most of a volume, bag or mbox file."
    ),
]
AutoVolumeItems = Annotated[int | None, typer.Option(min=1, help="For that export: the most items of a volume.")]
AutoPrefix = Annotated[
    str | None, typer.Option(metavar="TEXT", help="For that export: what control numbers begin with.")
]
AutoWidth = Annotated[
    int | None, typer.Option(min=WIDTHS[0], max=WIDTHS[1], help="For that export: the digits of control numbers.")
]
AutoProfile = Annotated[
    str | None, typer.Option(metavar="NAME|FILE", help="For that export: the columns of the load file.")
]
AutoTables = Annotated[Tables | None, typer.Option(help="For that export: a DAT file, a CSV file, or both.")]
AutoEncoding = Annotated[Encoding | None, typer.Option(help="For that export: the load file's encoding.")]
AutoUnencodable = Annotated[
    Unencodable | None, typer.Option(help="For that export: what becomes of characters that cp1252 does not have.")
]
AutoContinueFrom = Annotated[
    str | None, typer.Option(metavar="JOB", help="For that export: the earlier one whose numbers it continues.")
]
AutoMessages = Annotated[Messages | None, typer.Option(help="For that export as mail: mbox files, or EML files.")]
AutoMboxOf = Annotated[
    MboxOf | None, typer.Option(help="For that export as mail: an mbox file for each folder, or one for all.")
]
AutoRows = Annotated[Rows | None, typer.Option(help="For that export as a dataset: Parquet, or CSV.")]
AutoHive = Annotated[bool, typer.Option("--hive", help="For that export as a dataset: names as Hive has them.")]
