"""The error codes of items and jobs, and `Failure`: what went wrong, in a word, for one item or job.

The codes are an interface: scripts filter error reports by them, so a code is never renamed or given another
meaning. `docs/error-codes.md` is what ``python -m prefect_collect.codes`` prints (a test holds the two together).
"""

from __future__ import annotations

from prefect_collect.codes._code import Category, Code, Who
from prefect_collect.codes._failure import CANCELED, LONGEST_MESSAGE, WORKER_LOST, Failure
from prefect_collect.codes._table import CODES

__all__ = ["CANCELED", "CODES", "LONGEST_MESSAGE", "WORKER_LOST", "Category", "Code", "Failure", "Who"]
