"""Mail sets as a format of file sets."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages.file_sets.building import FileSet
from prefect_collect.packages.mail.index import INDEX
from prefect_collect.packages.mail.places import FOLDER
from prefect_collect.packages.mail.plan import DESCRIPTION, plan_mail

MAIL: Final = FileSet(plan_mail, DESCRIPTION, (INDEX,), (f"{FOLDER}/",))
