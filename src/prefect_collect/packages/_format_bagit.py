"""The format ``bagit``: a bag (RFC 8493) as one ZIP file."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._bag_check import BagCheck, is_bag
from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages._replacing import TAG_MANIFEST
from prefect_collect.packages._zip import build_zip

FORMAT: Final = PackageFormat("bagit", build_zip, TAG_MANIFEST, is_bag, BagCheck)
