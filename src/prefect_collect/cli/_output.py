"""What a command prints: people's text or one JSON document on standard output, what goes on to standard error."""

from __future__ import annotations

import json
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

_COLORS = {
    "Successfully completed": "green",
    "Partially completed": "yellow",
    "Failed": "red",
    "Canceled": "magenta",
    "In progress": "cyan",
    "Queued": "cyan",
}


class Output:
    """Where a command prints; `as_json` keeps standard output free for the one document."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @cached_property
    def console(self) -> Console:
        """Standard output for people; lines are never broken where no terminal shows them."""
        from rich.console import Console

        console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        if not sys.stdout.isatty():
            console.width = 100_000
        return console

    def say(self, line: str) -> None:
        """A line on what is going on, on standard error."""
        print(line, file=sys.stderr, flush=True)

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """A line of text for people; nothing with --json."""
        if not self.as_json:
            self.console.print(text, style=style)

    def status(self, label: str, status: str, rest: str = "") -> None:
        """A line that shows a status in its color."""
        if self.as_json:
            return
        from rich.text import Text

        self.console.print(Text.assemble(label, (status, f"bold {_COLORS.get(status, '')}".strip()), rest))

    def json(self, document: Any) -> None:
        """The one JSON document, if that was asked for."""
        if self.as_json:
            text = json.dumps(document, ensure_ascii=False, indent=2, default=_plain)
            sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")

    def table(
        self, headings: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = (),
        fold: Mapping[str, int] | None = None, brief: Mapping[str, Sequence[str]] | None = None,
        spare: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Aligned columns for people; see `Columns` for what becomes of them in a narrow terminal."""
        if self.as_json:
            return
        from prefect_collect.cli._tables import Columns, table

        cells = [tuple(printable(str(cell)) for cell in row) for row in rows]
        columns = Columns(tuple(headings), cells, right, fold or {}, brief or {}, spare)
        for part in table(columns, self.console.width):
            self.console.print(part, soft_wrap=False)


def printable(text: str) -> str:
    """Text that keeps to its line and cannot steer a terminal: control characters are shown escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def _plain(value: object) -> object:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
