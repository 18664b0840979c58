"""The format ``bagit-tar``: a bag (RFC 8493) as one TAR file."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.bags.check import BagCheck, is_bag
from prefect_collect.packages.bags.tag_files import TAG_MANIFEST
from prefect_collect.packages.bags.tar import build_tar

FORMAT: Final = PackageFormat("bagit-tar", build_tar, TAG_MANIFEST, is_bag, BagCheck)
