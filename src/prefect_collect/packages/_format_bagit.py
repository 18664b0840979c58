"""The format ``bagit``: a bag (RFC 8493) as one ZIP file."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat, later
from prefect_collect.packages.bags.check import BagCheck
from prefect_collect.packages.seals import BAG_SEAL

FORMAT: Final = PackageFormat("bagit", later("bags.zip", "build_zip"), BAG_SEAL, BagCheck, begins_with_items=True)
