"""The format ``loadfile-directory``: a load file with natives and text, as a folder of files."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.load_files.check import LoadFileCheck
from prefect_collect.packages.load_files.directory import build_loadfile_directory
from prefect_collect.packages.load_files.lists import SEAL

FORMAT: Final = PackageFormat("loadfile-directory", build_loadfile_directory, SEAL, LoadFileCheck)
