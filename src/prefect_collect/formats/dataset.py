"""The options of an export as a dataset: the tables of a database as Parquet or CSV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from prefect_collect.errors import UsageError
from prefect_collect.formats.options import FormatOptions

Rows = Literal["parquet", "csv"]
"""Whether rows stay in the Parquet files that were collected, or are written as CSV."""


@dataclass(frozen=True)
class Dataset(FormatOptions):
    """The options of an export as a dataset.

    Attributes:
        rows: "parquet": the Parquet files as they were collected, byte for byte; "csv": their rows as CSV.
        hive: Name folders and files as Hive does (table=NAME/part-00000.parquet).

    Raises:
        UsageError: A field cannot be used; the message names it.
    """

    parameter: ClassVar[str] = "dataset"
    example: ClassVar[str] = "{'rows': 'csv'}"

    rows: Rows = "parquet"
    hive: bool = False

    def __post_init__(self) -> None:
        self.require_choice("rows", Rows)
        if not isinstance(self.hive, bool):
            raise UsageError(f"hive must be true or false. [hive={str(self.hive)[:40]}]")
