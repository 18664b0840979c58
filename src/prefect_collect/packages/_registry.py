"""The package formats, by name: one module each, which is imported when its format is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from prefect_collect.formats import FORMATS, Format
from prefect_collect.packages._format import PackageFormat


class _Formats(Mapping[Format, PackageFormat]):
    """A package format needs the code of its lists and checks, and a process mostly needs one of them."""

    def __getitem__(self, name: Format) -> PackageFormat:
        if name not in FORMATS:
            raise KeyError(name)
        module = import_module(f"prefect_collect.packages._format_{name.replace('-', '_')}")
        found: PackageFormat = module.FORMAT
        return found

    def __iter__(self) -> Iterator[Format]:
        return iter(FORMATS)

    def __len__(self) -> int:
        return len(FORMATS)


PACKAGE_FORMATS: Final[Mapping[Format, PackageFormat]] = _Formats()
"""How a package of each format of `formats.FORMATS` is built and verified."""
