"""The format ``dataset-directory``: the tables of a database, as a folder of files."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.datasets.check import DatasetCheck
from prefect_collect.packages.datasets.format import DATASET
from prefect_collect.packages.file_sets.lists import SEAL

FORMAT: Final = PackageFormat("dataset-directory", DATASET.build_folder, SEAL, DatasetCheck)
