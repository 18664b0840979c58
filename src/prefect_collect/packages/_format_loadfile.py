"""The format ``loadfile``: a load file with natives and text, as one ZIP file."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.load_files.check import LoadFileCheck
from prefect_collect.packages.load_files.lists import SEAL
from prefect_collect.packages.load_files.zip import build_loadfile

FORMAT: Final = PackageFormat("loadfile", build_loadfile, SEAL, LoadFileCheck)
