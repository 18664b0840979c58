"""The format ``ocfl``: a version of an OCFL object in a storage root."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.ocfl.build import build_ocfl
from prefect_collect.packages.ocfl.check import OcflCheck
from prefect_collect.packages.ocfl.names import INVENTORY

FORMAT: Final = PackageFormat("ocfl", build_ocfl, INVENTORY, OcflCheck)
