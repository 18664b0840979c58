"""Rows of load files: whatever a value holds, readers get it back, or the documented replacement."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pandas
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prefect_collect.archive.problems import Damaged
from prefect_collect.escaping import csv_text
from prefect_collect.formats.facts import FACTS
from prefect_collect.formats.load_file import Encoding
from prefect_collect.packages.load_files.description import read_description
from prefect_collect.packages.load_files.reading import read_csv, read_dat
from prefect_collect.packages.load_files.text import MARKS, RowWriter
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
    text, rows, row, at = data.decode(_CODECS[encoding]), list[list[str]](), list[str](), 0
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


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.text(max_size=3) | st.sampled_from([*FACTS, "dat", "VOL001"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "items"]), inner, max_size=2),
    max_leaves=6,
)
_GOOD = {
    "load_file": 1, "tool": "prefect-collect 1", "encoding": "utf-8", "prefix": "DOC", "width": 8, "found": 0,
    "delivered": 0, "exceptions": 0, "tables": ["dat"], "columns": [["A", "control_number"], ["B", "native_path"]],
    "volumes": [{"name": "VOL001", "items": 0, "bytes": 0, "texts": 0}],
}  # fmt: skip


@given(field=st.sampled_from([*_GOOD]), value=_JSON)
@settings(max_examples=examples(200), deadline=None)
def test_a_hostile_description_is_damaged_or_of_the_right_types(field: str, value: Any) -> None:
    """Whatever stands in a field of load-file.json, it is refused in words, or what is read has the types it states."""
    assert read_description(json.dumps(_GOOD).encode()).column("native_path") == 1
    try:
        found = read_description(json.dumps({**_GOOD, field: value}).encode())
    except Damaged:
        return
    assert isinstance(found.encoding, str)
    assert {type(name) for name, _ in found.columns} == {str}
    assert all(isinstance(volume["name"], str) for volume in found.volumes)


@given(data=st.binary(max_size=40) | st.text('þ\x14"\r\n,a', max_size=12).map(str.encode), mark=st.booleans())
@settings(max_examples=examples(200), deadline=None)
def test_hostile_bytes_are_rows_or_damage(data: bytes, mark: bool) -> None:
    """Readers of the verifier yield rows of texts, or say that the file is damaged; no other error."""
    for read in (read_dat, read_csv):
        try:
            for row in read([MARKS["utf-8"] + data if mark else data], "utf-8"):
                assert {type(cell) for cell in row} <= {str}
        except Damaged:
            continue
