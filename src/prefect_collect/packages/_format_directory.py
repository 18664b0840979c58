"""The format ``directory``: a bag (RFC 8493) as a folder of files."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.bags.check import BagCheck, is_bag
from prefect_collect.packages.bags.directory import build_directory
from prefect_collect.packages.bags.tag_files import TAG_MANIFEST

FORMAT: Final = PackageFormat("directory", build_directory, TAG_MANIFEST, is_bag, BagCheck)
