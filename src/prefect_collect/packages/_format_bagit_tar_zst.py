"""The format ``bagit-tar-zst``: a bag (RFC 8493) as one TAR file that is compressed with Zstandard (RFC 8878)."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat, later
from prefect_collect.packages.bags.check import BagCheck
from prefect_collect.packages.seals import BAG_SEAL

FORMAT: Final = PackageFormat("bagit-tar-zst", later("bags.tar", "build_tar_zst"), BAG_SEAL, BagCheck)
