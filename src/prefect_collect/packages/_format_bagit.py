"""The format ``bagit``: a bag (RFC 8493) as one ZIP file."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.bags.check import BagCheck, is_bag
from prefect_collect.packages.bags.tag_files import TAG_MANIFEST
from prefect_collect.packages.bags.zip import build_zip

FORMAT: Final = PackageFormat("bagit", build_zip, TAG_MANIFEST, is_bag, BagCheck)
