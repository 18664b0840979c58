"""How rows of a load file are written as text, as Concordance's DAT and as CSV.

DAT: fields between þ (U+00FE), with 0x14 between them, and ® for a line break within a field; the first row has the
names, and each row ends in CR and LF. Sources: https://answercenter.ediscovery.co/litigation2/ac/cn_desktop/managing_data_files.htm
(Concordance: "avoid characters in data") and https://www.litigationsupporttipofthenight.com/home/category/Text-Encoding
(Relativity's defaults: 20, 254, 174). A þ in a value is doubled, as readers such as pandas and
https://github.com/Jandini/Concordance.Dat undo it.

What a value has that a reader would take for something else is replaced, and counted by kind:

- ``registered_sign``: ® becomes (R), only in DAT, because a reader takes it for a line break;
- ``line_break``: CR, LF, both, or another of Unicode's line breaks becomes ®, only in DAT;
- ``control_character``: any other control character but the tab, 0x14 among them, becomes U+FFFD (in CP1252 ``?``);
- ``unencodable``: what CP1252 does not have becomes ``?``, if that was asked for;
- ``formula``: a value with which a spreadsheet would calculate begins with ``'``, only in CSV.

CSV: RFC 4180, every field quoted; a value with which a spreadsheet would calculate begins with ``'`` (`csv_cell`).
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from prefect_collect.escaping import csv_cell
from prefect_collect.formats.load_file import Encoding

QUOTE: Final = "\u00fe"
SEPARATOR: Final = "\x14"
NEW_LINE: Final = "\u00ae"
END: Final = "\r\n"

_BREAK: Final = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_UNUSUAL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\xae\xfe\u0100-\U0010ffff]")
"""What may need a replacement; most values have nothing of it."""
_PLAIN: Final = re.compile(r'(?:[0-9A-Za-z][^\x00-\x1f"\x7f-\x9f]*)?')
"""Values that CSV has as they are: no control characters, no quotes, and no formula begins with a letter or digit."""

CODECS: Final = {"utf-8": "utf-8", "utf-16": "utf-16-le", "cp1252": "cp1252"}
"""Python's codec of each encoding, without its byte order mark."""

MARKS: Final = {"utf-8": codecs.BOM_UTF8, "utf-16": codecs.BOM_UTF16_LE, "cp1252": b""}
"""The byte order mark that a load file of each encoding begins with."""


@dataclass(slots=True)
class RowWriter:
    """Writes rows in one encoding, and counts the values that it changed.

    Attributes:
        encoding: The encoding.
        replaced: How many values were changed, by kind; a DAT file and a CSV file of the same rows count apart.
        first: The first value with characters that the encoding does not have: its column and its row's number.
    """

    encoding: Encoding
    replaced: Counter[str] = field(default_factory=Counter)
    first: tuple[str, str] | None = None

    def dat(self, values: Sequence[str], columns: Sequence[str], number: str = "") -> bytes:
        """Return a row of a DAT file; `columns` and `number` say in errors which values they are."""
        return self.rows("dat", [[value] for value in values], columns, [number])

    def csv(self, values: Sequence[str], columns: Sequence[str], number: str = "") -> bytes:
        """Return a row of a CSV file."""
        return self.rows("csv", [[value] for value in values], columns, [number])

    def rows(
        self, kind: Literal["dat", "csv"], values: Sequence[Sequence[str]], columns: Sequence[str],
        numbers: Sequence[str],
    ) -> bytes:  # fmt: skip
        """Return rows, whose values are given column by column."""
        texts = [(self._dat_column if kind == "dat" else self._csv_column)(column) for column in values]
        between, around = (f"{QUOTE}{SEPARATOR}{QUOTE}", QUOTE) if kind == "dat" else ('","', '"')
        rows = [f"{around}{between.join(row)}{around}{END}" for row in zip(*texts, strict=True)]
        codec = CODECS[self.encoding]
        try:
            return "".join(rows).encode(codec)
        except UnicodeEncodeError:
            each = zip(rows, zip(*texts, strict=True), numbers, strict=True)
            return b"".join(self._replaced(row, cells, columns, number) for row, cells, number in each)

    def _dat_column(self, column: Sequence[str]) -> Sequence[str]:
        if _UNUSUAL.search("".join(column)) is None:
            return column
        return [self._dat(value) if _UNUSUAL.search(value) else value for value in column]

    def _csv_column(self, column: Sequence[str]) -> Sequence[str]:
        return [value if _PLAIN.fullmatch(value) else self._csv(value) for value in column]

    def _dat(self, text: str) -> str:
        text = self._changed("registered_sign", text, text.replace(NEW_LINE, "(R)"))
        text = self._changed("line_break", text, _BREAK.sub(NEW_LINE, text))
        return self._without_controls(text).replace(QUOTE, QUOTE * 2)

    def _csv(self, text: str) -> str:
        text = self._without_controls(text)
        return self._changed("formula", text, csv_cell(text)).replace('"', '""')

    def _without_controls(self, text: str) -> str:
        other = "?" if self.encoding == "cp1252" else "\ufffd"
        return self._changed("control_character", text, _CONTROL.sub(other, text))

    def _changed(self, kind: str, before: str, after: str) -> str:
        if before != after:
            self.replaced[kind] += 1
        return after

    def _replaced(self, row: str, texts: Sequence[str], columns: Sequence[str], number: str) -> bytes:
        """Return a row with ``?`` for what the encoding does not have, and count the values that have it."""
        codec = CODECS[self.encoding]
        for text, column in zip(texts, columns, strict=True):
            if text.encode(codec, "ignore").decode(codec) != text:
                self.replaced["unencodable"] += 1
                self.first = self.first or (column, number)
        return row.encode(codec, "replace")
