"""The output of a command: text or one JSON document on standard output, progress on standard error.

Printed text may come from outside, so it is escaped: it cannot control the terminal, or look like another line.
"""

from __future__ import annotations

import json
import os
import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from prefect_collect.escaping import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

_UNUSUAL = re.compile(r"[^\n -~]")
_FORCED = {"FORCE_COLOR", "TTY_COMPATIBLE"}
"""Variables by which rich prints for a terminal where there is none."""

_COLORS = {
    "Successfully completed": "green",
    "Partially completed": "yellow",
    "Failed": "red",
    "Canceled": "magenta",
    "In progress": "cyan",
    "Queued": "cyan",
}


class Output:
    """The output of a command; with `as_json`, only the JSON document goes to standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @cached_property
    def console(self) -> Console:
        """The console of standard output; lines are broken on a terminal only."""
        from rich.console import Console

        console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        if not sys.stdout.isatty():
            console.width = 100_000
        return console

    def say(self, line: str) -> None:
        """Print a line of progress on standard error."""
        print(one_line(line), file=sys.stderr, flush=True)

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """Print a line of text; nothing with --json."""
        if self.as_json:
            return
        if _is_plain():
            print(one_line(text))
        else:
            self.console.print(one_line(text), style=style)

    def status(self, label: str, status: str, rest: str = "") -> None:
        """Print a line that shows a status in its color; nothing with --json."""
        if self.as_json:
            return
        from rich.text import Text

        style = f"bold {_COLORS.get(status, '')}".strip()
        self.console.print(Text.assemble(one_line(label), (one_line(status), style), one_line(rest)))

    def json(self, document: Any) -> None:
        """Print the JSON document; nothing without --json."""
        if self.as_json:
            is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
            text = json.dumps(document, ensure_ascii=not is_unicode, indent=2, default=_plain)
            sys.stdout.write(json_escaped(text) + "\n")

    def table(
        self, headings: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = (),
        fold: Mapping[str, int] | None = None, brief: Mapping[str, Sequence[str]] | None = None,
        spare: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Print aligned columns; nothing with --json. See `Columns` for a narrow terminal."""
        if self.as_json:
            return
        from prefect_collect.cli._tables import Columns, table

        cells = [tuple(one_line(str(cell)) for cell in row) for row in rows]
        columns = Columns(tuple(headings), cells, right, fold or {}, brief or {}, spare)
        for part in table(columns, self.console.width):
            self.console.print(part, soft_wrap=False)


def _is_plain() -> bool:
    """Return whether text is printed without colors, so that rich is not needed, whose import takes some time."""
    return not sys.stdout.isatty() and not _FORCED & os.environ.keys()


def json_escaped(document: str) -> str:
    """Return the JSON document with JSON escapes for all characters that could control a terminal."""
    return _UNUSUAL.sub(_as_json, document)


def _as_json(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def _plain(value: object) -> object:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
