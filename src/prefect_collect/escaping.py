"""Escaping of text from outside, with one function for each medium that shows it, and no other escaping.

Such text may come from a source, a server, a store or a file that others can write: names of items, sources and jobs,
messages, locations, users. It is shown as data in each medium:

- `one_line`: state messages, names of runs, events, labels, log lines, the terminal, and the console's pages (whose
  templates also escape HTML);
- `markdown`, `markdown_code`, `markdown_link`: artifacts, and the cells of their tables;
- `csv_cell`, which `csv_text` undoes: tables that users open in a spreadsheet.

Files for programs (Parquet, JSON) contain the exact text.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

_WORD: Final = re.compile(r"[`|\\]|[^\s`|\\]+")
_SPECIAL: Final = re.compile(r"[*_\[\]<>#~&!$]")
_LINKED: Final = re.compile(r"://|www\.|@|mailto:|xmpp:", re.IGNORECASE)
_START: Final = re.compile(r"\A([-+=:]|\d+(?=[.)]))")
_BACKTICKS: Final = re.compile("`+")
_IN_URLS: Final = "!#$%&'()*+,/:;=?@[]~"

_IGNORED: Final = (
    r"\x00-\x20\x7f"
    "\x80-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800"
    "\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
"""Invisible characters, for a character class: spaces, control characters, and characters without width."""

_SIGNS: Final = r"=+\-@|" "＝＋－＠｜﹦﹢﹣﹫⁼₌⁺₊⁻₋−﬩"
"""Characters with which a formula begins, and look-alikes that a spreadsheet may accept, for a character class."""

FORMULA: Final = rf"\A(?:['\t\r\n]|[{_IGNORED}]*[{_SIGNS}])"
"""A regular expression (of Python and of RE2) for the texts that `csv_cell` changes."""

_FORMULA: Final = re.compile(FORMULA)

_BLANK: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\U00016fe4]")
"""Letters and marks that Python calls printable but that are invisible: fillers, joiners, the empty Braille cell."""


def one_line(text: str) -> str:
    """Return the text with every character that is not visible as itself replaced by its escape, as ``\\u202e``.

    These are line breaks, control characters (which can control a terminal), changes of the writing direction,
    characters without width, spaces other than U+0020, and code points that are not Unicode text. Escaping twice
    changes nothing.
    """
    if text.isprintable() and (text.isascii() or not _BLANK.search(text)):
        return text
    return "".join(
        character
        if character.isprintable() and not _BLANK.match(character)
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def markdown(text: str) -> str:
    """Return Markdown that shows the text as it is, in a paragraph, heading, list or table (CommonMark 0.31, GFM).

    A word that GFM turns into a link (``http://…``, ``www.…``, an e-mail address) becomes a code span: remark-gfm, with
    which Prefect's UI renders artifacts, would link it despite a backslash.
    """
    escaped = _WORD.sub(_escaped, one_line(text)).strip()
    start = _START.match(escaped)
    if start is None:
        return escaped
    return f"\\{escaped}" if not start[0].isdigit() else f"{start[0]}\\{escaped[start.end() :]}"


def markdown_code(text: str) -> str:
    """Return a code span of the text, for places outside tables; backticks in the text do not end it."""
    line = one_line(text).strip()
    fence = "`" * (max(map(len, _BACKTICKS.findall(line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else "` `"


def markdown_link(label: str, url: str) -> str:
    """Return a link; characters that an address cannot contain are percent-encoded."""
    return f"[{markdown(label)}](<{quote(url, safe=_IN_URLS)}>)"


def csv_cell(text: str) -> str:
    """Return text that a spreadsheet does not run as a formula: with a ``'`` in front if it begins like one.

    A formula begins with =, +, -, @ or |, also in full-width, small, superscript or subscript form, after any spaces
    and invisible characters up to U+FFFF, or with a tab or line break. A text that begins with ``'`` gets one too, so
    that `csv_text` returns exactly the original. Source: https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if _FORMULA.match(text) else text


def csv_text(cell: str) -> str:
    """Return the text of a cell that `csv_cell` made."""
    return cell.removeprefix("'")


def _escaped(word: re.Match[str]) -> str:
    if word[0] in ("`", "|", "\\"):
        return f"\\{word[0]}"
    if _LINKED.search(word[0]):
        return f"`{word[0]}`"
    return _SPECIAL.sub(r"\\\g<0>", word[0])
