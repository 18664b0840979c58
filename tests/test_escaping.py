"""Text from outside is shown as data in every medium: it changes no Markdown, no spreadsheet and no terminal."""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from prefect_collect.errors import StoreError
from prefect_collect.escaping import FORMULA, csv_cell, csv_text, markdown, markdown_code, markdown_link, one_line
from tests.examples import examples
from tests.support.hostile_names import NAMES, UNSEEN

GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SYNTAX = st.text("`|*_[]()<>#!&;\\~-+=. $:/@\n\r\t1aw{}^%\"'\0", max_size=30)
WORDS = st.sampled_from(["http://", "https://", "www.", "ftp://", "mailto:", "a@b.c", "x", " ", *NAMES, *UNSEEN])
FEW = settings(max_examples=examples(60), deadline=None)
HOSTILE = SYNTAX | st.text(max_size=10) | st.lists(SYNTAX | WORDS, max_size=4).map("".join)

# What remark-gfm makes links of, in any text but that of links and code, whatever escapes were in it
# (mdast-util-gfm-autolink-literal 2.0.1); and what Prefect's first UI does (marked 4.3.0), which heeds escapes.
AUTOLINKS = [
    re.compile(r"(https?://|www(?=\.))([-.\w]+)([^ \t\r\n]*)", re.IGNORECASE),
    re.compile(r"([-.\w+]+)@([-\w]+(?:\.[-\w]+)+)"),
    re.compile(r"(?:ftp|https?)://|mailto:|xmpp:", re.IGNORECASE),
]


def shape(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the types of all blocks, and of their elements other than texts and code spans."""
    plain = ("text", "text_special", "softbreak", "code_inline")
    return [
        (token.type, tuple(child.type for child in token.children or () if child.type not in plain))
        for token in GFM.parse(text)
    ]


def texts(text: str) -> list[str]:
    """Return the texts outside code spans."""
    found = [""]
    for token in GFM.parse(text):
        for child in token.children or ():
            if child.type in ("text", "text_special"):
                found[-1] += child.content
            else:
                found.append("")
        found.append("")
    return found


def shown(text: str) -> str:
    """Return all text that a reader sees."""
    return "".join(child.content for token in GFM.parse(text) for child in token.children or ())


PAGES = ("{}", "# {}: x", "- {}", "- x\n    - {}", "> {}", "| a | b |\n| --- | --- |\n| x | {} |")
USUAL = [shape(page.replace("{}", "a")) for page in PAGES]


@FEW
@given(HOSTILE)
@example("\\`a@b`c")
@example("http://evil.example")
def test_markdown_shows_the_text_as_it_is(text: str) -> None:
    """In a paragraph, heading, list, quotation and table the text adds no element, and a reader sees it as one line."""
    written, line = markdown(text), one_line(text).strip()
    assert shown(written) == line
    for page, usual in zip(PAGES, USUAL, strict=True):
        made = page.replace("{}", written)
        assert shape(made) == usual or not line
        assert not any(link.search(part) for part in texts(made) for link in AUTOLINKS), made


@FEW
@given(HOSTILE)
def test_code_spans_show_the_text_as_it_is(text: str) -> None:
    """A code span shows the text exactly, whatever backticks it contains."""
    line = one_line(text).strip()
    assert shape(markdown_code(text)) == shape("`a`")
    assert shown(markdown_code(text)) == (line or " ")


def test_links_keep_their_addresses() -> None:
    """An address with brackets and spaces stays one link."""
    [token] = [token for token in GFM.parse(markdown_link("a]b", "https://x/y z/(1)>.zip?a=%20&b=1")) if token.children]
    assert token.children is not None
    assert token.children[0].attrs["href"] == "https://x/y%20z/(1)%3E.zip?a=%20&b=1"


BLANK = re.compile(r"(?:HANGUL|KHITAN) .*FILLER|BRAILLE PATTERN BLANK|GRAPHEME JOINER|VOWEL INHERENT|FREE VARIATION")


def is_seen(character: str) -> bool:
    """Return whether a character is a space or visible; Unicode counts fillers as letters, but they are blank."""
    blank = BLANK.search(unicodedata.name(character, ""))
    return character == " " or not (unicodedata.category(character)[0] in "CZ" or blank)


@FEW
@given(st.text() | st.sampled_from(UNSEEN))
def test_one_line(text: str) -> None:
    """The result has only visible characters, and a text that already has only those stays as it is."""
    line = one_line(text)
    assert all(map(is_seen, line))
    assert one_line(line) == line
    if all(map(is_seen, text)):
        assert line == text


def test_what_steers_a_terminal_is_shown_escaped() -> None:
    """Control characters (also C1), direction marks and line separators are escaped; letters of any language stay."""
    assert one_line("a\nb\x1b[2J\u202eü 中") == "a\\nb\\x1b[2J\\u202eü 中"
    assert one_line("a\u3164\u115f\uffa0\u2800.pdf") == "a\\u3164\\u115f\\uffa0\\u2800.pdf"
    assert one_line("\x9b31m\x85\u2028\u200b\ufeff\udcff") == "\\x9b31m\\x85\\u2028\\u200b\\ufeff\\udcff"


def test_errors_are_one_line() -> None:
    """The message of every CollectError is one line, whatever names it contains."""
    assert str(StoreError("Gone. [key=a\nINFO | forged\x1b[2J]")) == "Gone. [key=a\\nINFO | forged\\x1b[2J]"


FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0" + "".join(
    map(chr, range(0xFE00, 0xFE10))
)
ARABIC = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"


_RUN: Final = frozenset("=+-@|\u2212")


def runs_as_formula(cell: str) -> bool:
    """Return whether a spreadsheet may take the cell for a formula, judged strictly by its first visible character.

    Visible are also a mark that combines with what is before it, the sign before an Arabic number, a private character,
    and one that Unicode does not have.
    """
    for character in cell:
        if unicodedata.category(character) in ("Cc", "Zs", "Zl", "Zp") or character in FILLERS:
            continue
        if unicodedata.category(character) == "Cf" and character <= "\uffff" and character not in ARABIC:
            continue
        return unicodedata.normalize("NFKC", character) in _RUN
    return False


SIGNS = "=+-@|＝＋－＠﹦﹢﹣﹫⁼₌−'x1"
CELLS = st.text() | st.tuples(
    st.text("\t\r\n \xa0\u200b\ufeff\u202e\u3000'\"\0", max_size=3), st.text(SIGNS, max_size=3)
).map("".join)


def test_every_character_before_a_formula() -> None:
    """A formula behind any one character is escaped, if a spreadsheet may pass over it or take it for a sign.

    A quick run tries the first tenth of the characters, which are those of the basic plane and some more.
    """
    characters = [chr(code) for code in range(examples(sys.maxunicode + 1))]
    assert [c for c in characters if runs_as_formula(f"{c}=") and not csv_cell(f"{c}=").startswith("'")] == []


@FEW
@given(CELLS)
def test_cells_are_no_formulas_and_come_back(text: str) -> None:
    """An escaped cell does not begin like a formula, and `csv_text` returns exactly the original text."""
    cell = csv_cell(text)
    assert csv_text(cell) == text
    assert cell.startswith("'") or not runs_as_formula(cell)


@pytest.mark.parametrize("text", ["=1", "＝1", "\ufeff=1", " \u200b@x", "\t", "\rx", "\n1", "|x", "'x", "\xa0−1"])
def test_formulas_are_neutralised(text: str) -> None:
    """A cell that a spreadsheet would run as a formula gets a quote; one with a sign later in the text stays."""
    assert csv_cell(text) == "'" + text
    assert csv_cell("a" + text) == "a" + text


@FEW
@given(st.lists(CELLS, max_size=20))
def test_whole_columns_are_judged_as_cells_are(cells: list[str]) -> None:
    """Arrow's regular expressions (RE2) match the same texts as Python's."""
    found = pc.match_substring_regex(pa.array(cells, pa.string()), FORMULA).to_pylist()
    assert found == [csv_cell(cell) != cell for cell in cells]
