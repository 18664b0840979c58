"""Tables that fit the terminal: text is folded, numbers and ids are never cut, and a column left out is named.

rich draws them. By itself it would cut numbers, and leave out columns silently, where a table does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_GAP: Final = 2


@dataclass(frozen=True)
class Columns:
    """Cells under headings, and how they may be made narrower.

    Attributes:
        headings: The headings, one for each column.
        rows: The cells of each row, as printable text.
        right: The headings of columns of numbers, which are aligned right.
        fold: The headings of text that may be folded, each with its least width in characters.
        brief: Shorter cells for a heading.
        spare: The headings that may be left out, in that order; a note below the table names them.
    """

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    right: Sequence[str] = ()
    fold: Mapping[str, int] = field(default_factory=dict)
    brief: Mapping[str, Sequence[str]] = field(default_factory=dict)
    spare: Sequence[str] = ()

    def widest(self) -> list[int]:
        """Return the width of each column without folding."""
        return [
            max(cell_len(heading), *(cell_len(row[column]) for row in self.rows), 0)
            for column, heading in enumerate(self.headings)
        ]

    def fitted(self, width: int) -> list[int] | None:
        """Return the width of each column, folded as far as needed; None if they do not fit."""
        widths = self.widest()
        least = [
            min(wide, max(self.fold.get(heading, wide), cell_len(heading)))
            for heading, wide in zip(self.headings, widths, strict=True)
        ]
        free = width - _GAP * len(widths)
        if sum(least) > free:
            return None
        while sum(widths) > free:
            foldable = [wide - low and wide for wide, low in zip(widths, least, strict=True)]
            widths[foldable.index(max(foldable))] -= 1
        return widths

    def shortened(self) -> Columns:
        """Return these columns with the shorter cells of `brief`."""
        rows = [
            tuple(
                self.brief[heading][number] if heading in self.brief else cell
                for heading, cell in zip(self.headings, row, strict=True)
            )
            for number, row in enumerate(self.rows)
        ]
        return replace(self, rows=rows, brief={})

    def without(self, heading: str) -> Columns:
        """Return these columns without that one."""
        gone = self.headings.index(heading)
        rows = [row[:gone] + row[gone + 1 :] for row in self.rows]
        return replace(self, headings=self.headings[:gone] + self.headings[gone + 1 :], rows=rows)


def table(columns: Columns, width: int) -> list[Any]:
    """Return what rich prints for the table in a width; if nothing else fits, a line for each cell."""
    if sum(columns.widest()) + _GAP * len(columns.headings) <= width:
        return [_table(columns, columns.widest())]
    columns, left_out = columns.shortened(), list[str]()
    for heading in [*columns.spare, None]:
        widths = columns.fitted(width)
        if widths is not None:
            return [_table(columns, widths), *map(_Unpadded, _note(left_out))]
        if heading is not None:
            columns = columns.without(heading)
            left_out.append(heading)
    return [*map(_Unpadded, [*_stacked(columns), *_note(left_out)])]


def _table(columns: Columns, widths: Sequence[int]) -> _Unpadded:
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for heading, wide in zip(columns.headings, widths, strict=True):
        justify: Any = "right" if heading in columns.right else "left"
        made.add_column(heading, justify=justify, overflow="fold", width=wide)
    for row in columns.rows:
        made.add_row(*map(Text, row))
    return _Unpadded(made)


@dataclass(frozen=True)
class _Unpadded:
    """What rich prints, without spaces at the ends of lines, which it adds up to the longest line's length."""

    shown: Table | Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for line in console.render_lines(self.shown, options, pad=False):
            while line and not line[-1].text.strip(" "):
                line.pop()
            if line:
                line[-1] = Segment(line[-1].text.rstrip(" "), line[-1].style)
            yield from line
            yield Segment.line()


def _stacked(columns: Columns) -> list[Text]:
    lines = []
    for row in columns.rows:
        lines += [
            Text.assemble((f"{heading} ", "bold"), cell, overflow="fold")
            for heading, cell in zip(columns.headings, row, strict=True)
        ]
        lines.append(Text())
    return lines


def _note(left_out: Sequence[str]) -> list[Text]:
    if not left_out:
        return []
    return [Text(f"(the terminal is too narrow to show: {', '.join(left_out)}; see --json)", style="dim")]
