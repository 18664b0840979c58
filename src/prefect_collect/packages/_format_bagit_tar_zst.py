"""The format ``bagit-tar-zst``: a bag (RFC 8493) as one TAR file that is compressed with Zstandard (RFC 8878)."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.bags.check import BagCheck, is_bag
from prefect_collect.packages.bags.tag_files import TAG_MANIFEST
from prefect_collect.packages.bags.tar import build_tar_zst

FORMAT: Final = PackageFormat("bagit-tar-zst", build_tar_zst, TAG_MANIFEST, is_bag, BagCheck)
