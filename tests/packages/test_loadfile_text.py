"""Rows of load files: whatever a value holds, readers get it back, or the documented replacement."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pandas
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prefect_collect.archive.problems import Damaged
from prefect_collect.escaping import csv_text
from prefect_collect.formats.load_file import Encoding
from prefect_collect.packages._loadfile_reading import read_csv, read_dat
from prefect_collect.packages._loadfile_text import MARKS, RowWriter
from tests.examples import examples

_CODECS = {"utf-8": "utf-8-sig", "utf-16": "utf-16", "cp1252": "cp1252"}
_NASTY = st.sampled_from(
    [
        "þ",
        "þþ",
        "\x14",
        "®",
        "\r\n",
        "\n",
        "\r",
        "\x85",
        "\u2028",
        '"',
        ",",
        "'",
        "=",
        "\u202e",
        "€",
        "日",
        "\ufeff",
        "\t",
    ]
)
_VALUE = st.lists(_NASTY | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4), max_size=8)
_VALUES = st.lists(_VALUE.map("".join), min_size=3, max_size=3)
_ROWS = st.lists(_VALUES, min_size=1, max_size=4)
_COLUMNS = ["A", "B", "C"]


def documented(text: str, encoding: str, *, dat: bool) -> str:
    """Return what docs/loadfile.md says a value becomes, written here by hand."""
    if dat:
        text = text.replace("®", "(R)")
        for line_break in ("\r\n", *"\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"):
            text = text.replace(line_break, "®")
    replacement = "?" if encoding == "cp1252" else "\ufffd"
    text = "".join(
        replacement if (ord(letter) < 32 and letter not in "\t\r\n") or 127 <= ord(letter) < 160 else letter
        for letter in text
    )
    return text.encode(_CODECS[encoding], "replace").decode(_CODECS[encoding]) if encoding == "cp1252" else text


def by_hand(data: bytes, encoding: str) -> list[list[str]]:
    """Return the rows of a DAT file, read as its published description says, letter by letter."""
    text, rows, row, at = data.decode(_CODECS[encoding]), [], list[str](), 0
    while at < len(text):
        assert text[at] == "þ"
        value, at = "", at + 1
        while text[at] != "þ" or text[at + 1 : at + 2] == "þ":
            at += text[at] == "þ"
            value += text[at]
            at += 1
        row.append(value)
        at += 1
        if text[at] == "\x14":
            at += 1
        else:
            assert text[at : at + 2] == "\r\n"
            rows, row, at = [*rows, row], [], at + 2
    return rows


def written(rows: list[list[str]], encoding: Encoding, kind: str) -> tuple[bytes, RowWriter]:
    """Return a load file of these rows, and its writer."""
    writer = RowWriter(encoding)
    write = writer.dat if kind == "dat" else writer.csv
    return MARKS[encoding] + b"".join(write(row, _COLUMNS, "N") for row in [_COLUMNS, *rows]), writer


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@given(rows=_ROWS)
@settings(max_examples=examples(60), deadline=None)
@example(rows=[["þ", "þ\x14þ", "\r\n"]])
@example(rows=[["", "", ""]])
def test_a_dat_file_is_read_back(encoding: Encoding, rows: list[list[str]]) -> None:
    """A reader made by the description, pandas, and the verifier's reader read the same: the documented values."""
    data, writer = written(rows, encoding, "dat")
    expected = [[documented(value, encoding, dat=True) for value in row] for row in rows]
    assert by_hand(data, encoding) == [_COLUMNS, *expected]
    assert list(read_dat([data[:7], data[7:]], encoding)) == [_COLUMNS, *expected]
    assert (data.count(b"\n"), data.count(b"\r")) == (1 + len(rows), 1 + len(rows)) or encoding == "utf-16"
    read: Any = pandas.read_csv(
        io.BytesIO(data), sep="\x14", quotechar="þ", dtype=str, keep_default_na=False, engine="python",
        encoding=_CODECS[encoding], skip_blank_lines=False,
    )  # fmt: skip
    assert read.to_numpy().tolist() == expected
    changed = sum(a != b for row, new in zip(rows, expected, strict=True) for a, b in zip(row, new, strict=True))
    assert (sum(writer.replaced.values()) > 0) == (changed > 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@given(rows=_ROWS)
@settings(max_examples=examples(40), deadline=None)
def test_a_csv_file_is_read_back(encoding: Encoding, rows: list[list[str]]) -> None:
    """Python's csv and the verifier's reader read the documented values; no cell is a formula."""
    data, _ = written(rows, encoding, "csv")
    expected = [[documented(value, encoding, dat=False) for value in row] for row in rows]
    cells = list(csv.reader(io.StringIO(data.decode(_CODECS[encoding]), newline=""), strict=True))
    assert [[csv_text(cell) for cell in row] for row in cells[1:]] == expected
    assert not [cell for row in cells for cell in row if re.match(r"\s*[=+@|-]", cell)]
    assert list(read_csv([data], encoding)) == cells


def test_replacements_are_counted_by_kind() -> None:
    """Each value counts once for each kind of replacement, and the first value that cannot be encoded is named."""
    writer = RowWriter("cp1252")
    row = writer.dat(["a®b®", "x\ny\x14", "日本 þ €"], _COLUMNS, "DOC1")
    assert row.decode("cp1252") == "þa(R)b(R)þ\x14þx®y?þ\x14þ?? þþ €þ\r\n"
    assert writer.replaced == {"registered_sign": 1, "line_break": 1, "control_character": 1, "unencodable": 1}
    assert writer.first == ("C", "DOC1")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xc3\xbea\xc3\xbe\r\n", "byte order mark"),
        (b"\xef\xbb\xbf\xc3\xbea\xc3\xbe", "does not end with a whole row"),
        (b"\xef\xbb\xbf", ""),
        (b"\xef\xbb", "does not end"),
        (b"\xef\xbb\xbfa\r\n", "row 1 has a field that is not between"),
        (b"\xef\xbb\xbf\xc3\xbea\xc3\xbeb\xc3\xbe\r\n", "not doubled"),
        (b"\xef\xbb\xbf\xc3\xbe\xff\xc3\xbe\r\n", "not in its encoding"),
        (b"\xef\xbb\xbf" + b"a" * ((1 << 20) + (70 << 10)), "more than 1,048,576 characters"),
    ],
)
def test_the_verifier_reads_strictly(data: bytes, what: str) -> None:
    """What is not written as it should be is refused in words, within bounds."""
    if not what:
        assert list(read_dat([data], "utf-8")) == []
        return
    with pytest.raises(Damaged, match=what):
        list(read_dat([data], "utf-8"))
