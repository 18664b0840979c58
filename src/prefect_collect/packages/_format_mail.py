"""The format ``mail``: messages as mbox or EML files with an index, as one ZIP file."""

from __future__ import annotations

from typing import Final

from prefect_collect.packages._format import PackageFormat
from prefect_collect.packages.file_sets.lists import SEAL
from prefect_collect.packages.mail.check import MailCheck
from prefect_collect.packages.mail.format import MAIL

FORMAT: Final = PackageFormat("mail", MAIL.build_zip, SEAL, MailCheck)
