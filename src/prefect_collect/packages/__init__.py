"""Packages of a collection's items, built, fetched and verified: bags (RFC 8493), load files, mail, datasets, OCFL.

    spec = PackageSpec(base=folder, job_id=collection_id, bagging_date=date, name="docs")
    checked = check_items(manifest, staging, spec, known=recorded)     # proves every item, finds those that must fail
    for row, item_id, failure in checked.failures(manifest): ...       # the export's ledger
    given = PackageInput(manifest, missing, checked, staging, spec)
    built = build_zip(given, PackagePlace(destination, f"{folder}.zip"))
    verify("/exports/docs.zip").valid

bagit, the library of the Library of Congress, handles folders only, makes a bag only of files that are already in its
folder, and reads all lists into memory. To verify a folder of 10,000 files it takes twice the CPU
(``python -m benchmarks.libraries``).

`manifest` and `missing` are `Batches`: functions that yield the columns asked for, from the start, each time they are
called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prefect_collect.names_later import names_later

if TYPE_CHECKING:
    from prefect_collect.archive.problems import Problem
    from prefect_collect.job_folder.manifest_rules import Batches
    from prefect_collect.packages._encrypt import encrypt_package
    from prefect_collect.packages._fetch import (
        fetch_package,
        folder_zip,
        package_base,
        package_key,
        require_fingerprint,
        version_remark,
    )
    from prefect_collect.packages._folder_zip import FolderZip
    from prefect_collect.packages._format import PackageFormat
    from prefect_collect.packages._registry import PACKAGE_FORMATS
    from prefect_collect.packages._verify import is_encrypted_package, verify
    from prefect_collect.packages.bags.directory import build_directory
    from prefect_collect.packages.bags.zip import build_zip
    from prefect_collect.packages.building.check import Checked, check_items
    from prefect_collect.packages.building.clashes import find_clashes
    from prefect_collect.packages.building.continued import Continued, number_key
    from prefect_collect.packages.building.duplicates import Duplicates, find_duplicates
    from prefect_collect.packages.building.earlier_items import Earlier
    from prefect_collect.packages.building.held_item import HeldItem, held_item
    from prefect_collect.packages.building.order import PackageInput, PackagePlace
    from prefect_collect.packages.building.reordered import reordered
    from prefect_collect.packages.building.replacing import Owner
    from prefect_collect.packages.building.rows import copy_ahead
    from prefect_collect.packages.building.spec import DUPLICATE, NOT_DELIVERED, Built, PackageSpec, outcome_of
    from prefect_collect.packages.building.whole_segment import check_segment, segments_of
    from prefect_collect.packages.load_files.families import family_order
    from prefect_collect.packages.load_files.plan import Plan, plan_of
    from prefect_collect.packages.ocfl.storage_root import require_possible
    from prefect_collect.packages.ocfl.unchanged import require_later
    from prefect_collect.packages.problems import Verification

__all__ = [
    "DUPLICATE",
    "NOT_DELIVERED",
    "PACKAGE_FORMATS",
    "Batches",
    "Built",
    "Checked",
    "Continued",
    "Duplicates",
    "Earlier",
    "FolderZip",
    "HeldItem",
    "Owner",
    "PackageFormat",
    "PackageInput",
    "PackagePlace",
    "PackageSpec",
    "Plan",
    "Problem",
    "Verification",
    "build_directory",
    "build_zip",
    "check_items",
    "check_segment",
    "copy_ahead",
    "encrypt_package",
    "family_order",
    "fetch_package",
    "find_clashes",
    "find_duplicates",
    "folder_zip",
    "held_item",
    "is_encrypted_package",
    "number_key",
    "outcome_of",
    "package_base",
    "package_key",
    "plan_of",
    "reordered",
    "require_fingerprint",
    "require_later",
    "require_possible",
    "segments_of",
    "verify",
    "version_remark",
]

_HOMES: Final = {
    "Batches": "job_folder.manifest_rules",
    "build_directory": "packages.bags.directory",
    "build_zip": "packages.bags.zip",
    "Built": "packages.building.spec",
    "check_items": "packages.building.check",
    "check_segment": "packages.building.whole_segment",
    "Checked": "packages.building.check",
    "copy_ahead": "packages.building.rows",
    "Continued": "packages.building.continued",
    "DUPLICATE": "packages.building.spec",
    "Duplicates": "packages.building.duplicates",
    "Earlier": "packages.building.earlier_items",
    "encrypt_package": "packages._encrypt",
    "family_order": "packages.load_files.families",
    "fetch_package": "packages._fetch",
    "find_clashes": "packages.building.clashes",
    "find_duplicates": "packages.building.duplicates",
    "folder_zip": "packages._fetch",
    "FolderZip": "packages._folder_zip",
    "held_item": "packages.building.held_item",
    "HeldItem": "packages.building.held_item",
    "is_encrypted_package": "packages._verify",
    "NOT_DELIVERED": "packages.building.spec",
    "number_key": "packages.building.continued",
    "outcome_of": "packages.building.spec",
    "Owner": "packages.building.replacing",
    "package_base": "packages._fetch",
    "PACKAGE_FORMATS": "packages._registry",
    "package_key": "packages._fetch",
    "PackageFormat": "packages._format",
    "PackageInput": "packages.building.order",
    "PackagePlace": "packages.building.order",
    "PackageSpec": "packages.building.spec",
    "Plan": "packages.load_files.plan",
    "plan_of": "packages.load_files.plan",
    "Problem": "archive.problems",
    "reordered": "packages.building.reordered",
    "require_fingerprint": "packages._fetch",
    "require_later": "packages.ocfl.unchanged",
    "require_possible": "packages.ocfl.storage_root",
    "segments_of": "packages.building.whole_segment",
    "Verification": "packages.problems",
    "verify": "packages._verify",
    "version_remark": "packages._fetch",
}

__getattr__, __dir__ = names_later(__name__, _HOMES)
