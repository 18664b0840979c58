"""How an export of some system is laid out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from prefect_collect.connectors.containers.files import File
from prefect_collect.connectors.foreign_exports.documents import NotExported
from prefect_collect.connectors.foreign_exports.lists import Lists
from prefect_collect.sources import Item

Reports = Iterator[NotExported]
"""What the exporting system says that it could not export."""


@dataclass(frozen=True)
class Format:
    """How an export of some system is laid out.

    Attributes:
        read_list: Reads a file into the lists, if it is one of the export's lists; returns whether it is, and what the
            system could not export. Raise BadList.
        name: The system.
        parts: Matches the paths of files that are part of such an export, even if no list is there.
        lists: What the lists are called, in words.
        looks_into_mbox: Whether mbox files are looked into.
        look: Yields what a file only names, such as links; raises BadList.
        describe: Returns the metadata of a file, which it may read.
        absent: The code of what the lists name and the files do not hold. Skipped, unless it is `missing_in_export`.
    """

    read_list: Callable[[File, Lists], Reports | None]
    name: str
    parts: re.Pattern[str]
    lists: str
    looks_into_mbox: bool = False
    look: Callable[[File, Lists], Iterator[Item]] | None = None
    describe: Callable[[File, Lists], dict[str, Any]] | None = None
    absent: str = "missing_in_export"
