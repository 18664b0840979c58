"""The error codes of items and jobs, and `Failure`, the reason why one item or job did not succeed.

The codes are an interface: scripts filter error reports by them, so a code is never renamed or given another meaning.
`docs/error-codes.md` is the output of ``python -m prefect_collect.codes`` (a test compares them).
"""

from __future__ import annotations

from prefect_collect.codes._code import Category, Code, Who
from prefect_collect.codes._failure import CANCELED, LONGEST_MESSAGE, WORKER_LOST, Failure
from prefect_collect.codes._table import CODES, ELSEWHERE

__all__ = ["CANCELED", "CODES", "ELSEWHERE", "LONGEST_MESSAGE", "WORKER_LOST", "Category", "Code", "Failure", "Who"]
