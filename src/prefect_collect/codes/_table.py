"""The table of all error codes."""

from __future__ import annotations

from typing import Final

from prefect_collect.codes._code import Code
from prefect_collect.codes._item_codes import TABLE

CODES: Final[dict[str, Code]] = {code.name: code for code in TABLE}
"""Every code by its name."""
