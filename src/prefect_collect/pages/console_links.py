"""The console's pages of a job, as links on pages that others show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

_ADDRESS: Final = re.compile(
    r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?)(:\d{1,5})?(/[\w.~%-]+)*/?\Z", re.ASCII | re.IGNORECASE
)
_LONGEST: Final = 1000


def is_console_address(text: str) -> bool:
    """Return whether a text is an address that a console can have: http or https, a host, perhaps a port and a path.

    It has no user, query or fragment, and no character that would need an escape in Markdown or HTML.
    """
    if len(text) > _LONGEST or not _ADDRESS.match(text):
        return False
    try:
        return urlsplit(text).port != 0
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class ConsoleLinks:
    """The addresses of a console's pages.

    Attributes:
        url: The console's own address, for which `is_console_address` holds, without a slash at its end.
    """

    url: str

    def job(self, job_id: str) -> str:
        """Return the address of a job's page."""
        return f"{self.url}/jobs/{quote(job_id, safe='')}"

    def items(self, job_id: str) -> str:
        """Return the address of the list of a collection's items."""
        return f"{self.job(job_id)}/items"

    def errors(self, job_id: str, attempt: int) -> str:
        """Return the address of the table of what did not succeed after an attempt."""
        return f"{self.job(job_id)}/errors?attempt={attempt}"

    def report(self, job_id: str, attempt: int, form: str) -> str:
        """Return the address at which the error report is downloaded; `form` is ``csv`` or ``parquet``."""
        return f"{self.job(job_id)}/errors.{form}?attempt={attempt}"

    def package(self, job_id: str) -> str:
        """Return the address at which an export's package is downloaded."""
        return f"{self.job(job_id)}/package"
