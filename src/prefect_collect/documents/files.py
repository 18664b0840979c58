"""The three files of a chain of custody document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prefect_collect.documents.account import account_bytes
from prefect_collect.documents.html_page import html_of
from prefect_collect.documents.pdf_page import pdf_of
from prefect_collect.formats.registry import CUSTODY_DOCUMENTS

DOCUMENT_FILES: Final = CUSTODY_DOCUMENTS
"""Their names in a package."""

ACCOUNT_FILE, HTML_FILE, PDF_FILE = DOCUMENT_FILES


def document_files(account: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the bytes of the files, by name."""
    return {ACCOUNT_FILE: account_bytes(account), HTML_FILE: html_of(account), PDF_FILE: pdf_of(account)}
