"""Recognises, by its first bytes, what a package in one file is."""

from __future__ import annotations

from prefect_collect.archive.random_access import Bytes
from prefect_collect.archive.tar import BLOCK
from prefect_collect.archive.tar_entries import is_tar
from prefect_collect.archive.zstd_frames import MAGIC
from prefect_collect.packages.contents.tar_container import TarContainer
from prefect_collect.packages.contents.zip_container import ZipContainer
from prefect_collect.packages.contents.zstd_bytes import ZstdBytes


def open_file(source: Bytes) -> ZipContainer | TarContainer:
    """Return the container that the file is: a TAR file, one that Zstandard compressed, or else a ZIP file.

    Raise Damaged if it cannot be read.
    """
    start = source.read(0, BLOCK)
    if start.startswith(MAGIC):
        return TarContainer(ZstdBytes(source))
    return TarContainer(source) if is_tar(start) else ZipContainer(source)
