"""The datasets as a format of file sets."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages.datasets.places import SCHEMAS, TABLES
from prefect_collect.packages.datasets.plan import DESCRIPTION, plan_dataset
from prefect_collect.packages.file_sets.building import FileSet

DATASET: Final = FileSet(plan_dataset, DESCRIPTION, (), (f"{TABLES}/", f"{SCHEMAS}/"))
