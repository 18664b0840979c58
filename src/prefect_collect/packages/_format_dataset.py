"""The format ``dataset``: the tables of a database, as one ZIP file."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.datasets.check import DatasetCheck, is_dataset
from prefect_collect.packages.datasets.format import DATASET
from prefect_collect.packages.file_sets.lists import SEAL

FORMAT: Final = PackageFormat("dataset", DATASET.build_zip, SEAL, is_dataset, DatasetCheck)
