"""The package formats, by name: one module each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prefect_collect.formats import Format
from prefect_collect.packages import (
    _format_bagit,
    _format_bagit_group,
    _format_bagit_tar,
    _format_bagit_tar_zst,
    _format_dataset,
    _format_dataset_directory,
    _format_directory,
    _format_loadfile,
    _format_loadfile_directory,
    _format_mail,
    _format_mail_directory,
    _format_ocfl,
)
from prefect_collect.packages._format import PackageFormat

PACKAGE_FORMATS: Final[Mapping[Format, PackageFormat]] = {
    module.FORMAT.name: module.FORMAT
    for module in (
        _format_bagit,
        _format_directory,
        _format_bagit_tar,
        _format_bagit_tar_zst,
        _format_bagit_group,
        _format_loadfile,
        _format_loadfile_directory,
        _format_mail,
        _format_mail_directory,
        _format_dataset,
        _format_dataset_directory,
        _format_ocfl,
    )
}
"""How a package of each format of `formats.FORMATS` is built and verified."""
