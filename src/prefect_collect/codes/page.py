"""The documentation page of all error codes: `docs/error-codes.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prefect_collect.codes._code import Category
from prefect_collect.codes._table import CODES

__all__ = ["render_page"]

_INTRODUCTION: Final = """\
# Error codes

Each row of an error report has a code (`error_code`). The code says what happened to the item; its category, the
suggested action and who has to act stand beside it in the report. The codes are stable: filter by them.

*Retry alone* says whether a later try may succeed without any change by a user. A job's Retry takes up every item
that has not succeeded, whatever its code. A job stops when twenty items in a row fail with one of
{stops}: what one item met there all others will meet too, so they are not attempted, with that code.

This page is made by `python -m prefect_collect.codes > docs/error-codes.md`; change the table there.
"""

_CATEGORIES: Final = {
    Category.PERMISSION: "the job may not do what it has to",
    Category.MISSING: "something is not there",
    Category.CHANGED: "the item changed while the job worked on it",
    Category.INTEGRITY: "bytes are not what they should be",
    Category.NETWORK: "a server cannot be reached, or is busy",
    Category.CAPACITY: "there is no room, or the store refuses",
    Category.NAME: "a name or path cannot be used",
    Category.CONTENT: "the item is of a kind that cannot be read",
    Category.JOB: "the whole job, or the item because of the job",
}


def render_page() -> str:
    """The documentation page of all codes, as Markdown."""
    stops = ", ".join(f"`{code.name}`" for code in CODES.values() if code.stops_job)
    return "\n".join([_INTRODUCTION.format(stops=stops), *_sections()])


def _sections() -> Iterator[str]:
    for category, title in _CATEGORIES.items():
        yield f"## {category.capitalize()}: {title}\n"
        yield "| code | meaning | what to do | who must act | retry alone |"
        yield "| --- | --- | --- | --- | --- |"
        for code in CODES.values():
            if code.category is category:
                retry = "yes" if code.retryable else "no"
                yield f"| `{code.name}` | {code.meaning} | {code.action} | {code.who} | {retry} |"
        yield ""
