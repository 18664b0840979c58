"""The first rows of an error report, as Markdown.

It is a Markdown artifact, not a table artifact: Prefect's first UI renders the cells of a table artifact as Markdown,
its second UI shows them verbatim, so no cell can be written for both.
"""

from __future__ import annotations

from typing import Final

from prefect_collect.escaping import markdown
from prefect_collect.job_folder.result import TaskResult
from prefect_collect.pages.console_links import ConsoleLinks
from prefect_collect.pages.ended_job import report_links
from prefect_collect.pages.text import items_text

ROWS: Final = 100
"""The number of rows of the report that the page shows."""

_COLUMNS: Final = ("outcome", "error_code", "path", "message")
_LONGEST: Final = 1000
"""The most characters of a text; the report has the whole text."""


def errors_page(result: TaskResult, rows: int = ROWS, *, console: ConsoleLinks | None = None) -> str:
    """Return the number of items by outcome and code, then the first rows of the report, as Markdown.

    With a console's links, the page leads to the whole report. Errors of the report's store pass through.
    """
    first = _first(result, rows)
    lines = [] if console is None else [f"The whole report in the console: {report_links(result, console)}", ""]
    lines += ["| outcome | code | items | what to do |", "| --- | --- | ---: | --- |"]
    lines += [_row(one.outcome, one.code, items_text(one.items), one.action) for one in result.code_counts]
    if first:
        lines += [""]
        # A list, not a table: long paths would make a table so wide that it overlaps its surroundings.
        for outcome, code, path, message in first:
            lines += [f"- {_text(path or '(the job)')}", f"    - {_text(f'{outcome}, {code}: {message}')}"]
    return "\n".join(lines) + "\n"


def _first(result: TaskResult, rows: int) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for batch in result.unsuccessful.batches():
        columns = (batch[name].slice(0, rows - len(found)).to_pylist() for name in _COLUMNS)
        found += [tuple("" if value is None else str(value) for value in row) for row in zip(*columns, strict=True)]
        if len(found) >= rows:
            break
    return found


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(_text, cells))} |"


def _text(text: str) -> str:
    return markdown(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
