"""The format ``bagit-group``: bags (RFC 8493) of limited size, in a folder with lists over all."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.groups.build import SEAL, build_group
from prefect_collect.packages.groups.check import GroupCheck
from prefect_collect.packages.groups.volumes import longest_base

FORMAT: Final = PackageFormat("bagit-group", build_group, SEAL, GroupCheck, longest_base)
