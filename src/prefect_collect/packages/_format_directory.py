"""The format ``directory``: a bag (RFC 8493) as a folder of files."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat, later
from prefect_collect.packages.bags.check import BagCheck
from prefect_collect.packages.seals import BAG_SEAL

FORMAT: Final = PackageFormat("directory", later("bags.directory", "build_directory"), BAG_SEAL, BagCheck)
