"""The format ``dataset``: the tables of a database, as one ZIP file."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.datasets.check import DatasetCheck
from prefect_collect.packages.datasets.format import DATASET
from prefect_collect.packages.file_sets.lists import SEAL

FORMAT: Final = PackageFormat("dataset", DATASET.build_zip, SEAL, DatasetCheck)
