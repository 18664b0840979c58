"""What the code knows of a package format: how such a package is built, sealed, recognised and verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from prefect_collect.formats import FORMATS, Format, FormatFacts
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.hashing import Progress
from prefect_collect.packages.bags.pages_beside import MadePages

if TYPE_CHECKING:
    from prefect_collect.formats.bag_profile import BagProfile
    from prefect_collect.job_folder.manifest_rules import Batches
    from prefect_collect.packages.building.order import Builder, PackageInput, PackagePlace
    from prefect_collect.packages.building.spec import Built, PackageSpec
    from prefect_collect.threads.stop import Stop


class PackageCheck(Protocol):
    """The check of one package; `run` adds what is wrong to the findings and sets the counts."""

    items: int
    payload: int
    not_delivered: int

    @property
    def ours(self) -> bool:
        """Return whether the package states that it was made here, so that every byte must be as it was written."""

    @property
    def has_documents(self) -> bool:
        """Return whether the package states that it has chain of custody documents."""

    @property
    def tool(self) -> str:
        """The software that made the package, as it states."""

    def run(self) -> None:
        """Check everything."""

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the package's seal; "" if there is none."""


@runtime_checkable
class ProfiledCheck(Protocol):
    """A check that holds a package to a BagIt profile too."""

    profile: BagProfile | None


@runtime_checkable
class PagesCheck(Protocol):
    """A check that has had pages of the chain of custody documents made beside its work."""

    made: MadePages


@runtime_checkable
class ClosedCheck(Protocol):
    """A check that keeps something open until it is closed."""

    def close(self) -> None:
        """Close it."""


def own_base(manifest: Batches, spec: PackageSpec) -> str:
    """Return the base folder of a package that has only one."""
    return spec.base


def later(module: str, name: str) -> Builder:
    """Return a builder of a module of `packages` that is imported when it is called: to verify needs none of them."""

    def build(given: PackageInput, place: PackagePlace, stop: Stop | None = None) -> Built:
        builder: Builder = getattr(import_module(f"prefect_collect.packages.{module}"), name)
        return builder(given, place, stop)

    return build


@dataclass(frozen=True, slots=True)
class PackageFormat:
    """A package format.

    Attributes:
        name: Its name, a key of `formats.FORMATS`.
        build: Builds such a package.
        seal: The file in the package's base folder that lists the hashes of all others, directly or by the lists that
            it names: its SHA-256 is the package's fingerprint.
        check: Makes the check of such a package; its arguments are the files, the number of threads and a `Progress`.
        longest_base: Returns the longest base folder that the items of a manifest get in such a package.
        begins_with_items: Whether the package is one file that begins with the items as the segments have them, so that
            they can be copied before it is known what follows.
    """

    name: Format
    build: Builder
    seal: str
    check: Callable[[BagFiles, int, Progress | None], PackageCheck]
    longest_base: Callable[[Batches, PackageSpec], str] = own_base
    begins_with_items: bool = False

    @property
    def facts(self) -> FormatFacts:
        """What is said of the format."""
        return FORMATS[self.name]
