"""The format ``mail-directory``: messages as mbox or EML files with an index, as a folder of files."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.file_sets.lists import SEAL
from prefect_collect.packages.mail.check import MailCheck
from prefect_collect.packages.mail.format import MAIL

FORMAT: Final = PackageFormat("mail-directory", MAIL.build_folder, SEAL, MailCheck)
