"""What the builder of a folder needs to know of a package of any format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from prefect_collect.codes import Failure
from prefect_collect.packages.building.order import PackageInput
from prefect_collect.packages.building.rows import Row
from prefect_collect.packages.building.tag_file import PackageFile


class Lists(Protocol):
    """The lists of a package in a temporary folder, when they are finished."""

    items: int
    bytes: int


@dataclass(frozen=True, slots=True)
class FolderForm:
    """How the folder of a package of one format is laid out.

    Attributes:
        payload: The folder in the package that rows' paths are in: "", or ending in "/".
        empty: A folder that a package without items has; "" for none.
        seal: The file whose SHA-256 is the fingerprint.
        last: The list that is written last.
    """

    payload: str
    empty: str
    seal: str
    last: str


class FolderContents(Protocol):
    """What the folder of a package holds."""

    @property
    def given(self) -> PackageInput:
        """What the package is made of."""

    @property
    def form(self) -> FolderForm:
        """How the folder is laid out."""

    def lists(self) -> AbstractContextManager[Lists]:
        """Return lists to fill, in a temporary folder."""

    def fill(
        self, lists: Any, failed: Mapping[int, Failure], deliver: Callable[[list[Row]], None]
    ) -> tuple[Sequence[PackageFile], Mapping[int, Failure]]:
        """Call `deliver` with the good items, and list those that are not in `failed`.

        Return all lists, and the items that failed.
        """

    def names(self) -> Iterator[set[str]]:
        """Yield the names of all files that an attempt of this export may have written."""

    def is_payload(self, name: str) -> bool:
        """Return whether a file is in a folder that is removed before a package is written over an earlier one."""
