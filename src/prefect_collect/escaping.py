"""Text from outside, made harmless for the medium that shows it: a function for each medium, and no other escaping.

What is shown may come from a source, a server, a store or a file that others can write: names of items, sources and
jobs, messages, locations, who did something. In each medium it is data, and shown as it is:

- `one_line`: state messages, names of runs, events, labels, log lines, and what a terminal shows;
- `markdown`, `markdown_code`, `markdown_link`: artifacts, and the cells of tables in them;
- `csv_cell`, which `csv_text` takes back: tables that people open in a spreadsheet.

Files that programs read (Parquet, JSON) hold the exact text.
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
"""Characters that are not seen, as parts of a character class: spaces, controls, and what has no width."""

_SIGNS: Final = r"=+\-@|" "＝＋－＠｜﹦﹢﹣﹫⁼₌⁺₊⁻₋−﬩"
"""What a formula begins with, the forms that a spreadsheet may take for it included, as parts of a character class."""

FORMULA: Final = rf"\A(?:['\t\r\n]|[{_IGNORED}]*[{_SIGNS}])"
"""A regular expression (of Python and of RE2) for the texts that `csv_cell` changes."""

_FORMULA: Final = re.compile(FORMULA)

_BLANK: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\U00016fe4]")
"""Letters and marks that Python calls printable, of which nothing is seen: fillers, joiners, the empty Braille cell."""


def one_line(text: str) -> str:
    """Return the text with every character that is not seen as itself written as its escape, as ``\\n`` or ``\\u202e``.

    Such are line breaks, control characters (which can steer a terminal), what changes the direction of writing, what
    has no width, spaces other than U+0020, and what is no Unicode. Escaping twice changes nothing.
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

    A word that GFM makes a link of by itself (``http://…``, ``www.…``, an e-mail address) becomes a code span: a
    backslash does not keep remark-gfm, with which Prefect's UI reads artifacts, from linking it.
    """
    escaped = _WORD.sub(_escaped, one_line(text)).strip()
    start = _START.match(escaped)
    if start is None:
        return escaped
    return f"\\{escaped}" if not start[0].isdigit() else f"{start[0]}\\{escaped[start.end() :]}"


def markdown_code(text: str) -> str:
    """Return a code span of the text, for places outside of tables; what it holds of backticks does not end it."""
    line = one_line(text).strip()
    fence = "`" * (max(map(len, _BACKTICKS.findall(line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else "` `"


def markdown_link(label: str, url: str) -> str:
    """Return a link; what cannot be in its address is percent-encoded."""
    return f"[{markdown(label)}](<{quote(url, safe=_IN_URLS)}>)"


def csv_cell(text: str) -> str:
    """Return text that a spreadsheet does not run as a formula: a ``'`` is put before what begins like one.

    That is =, +, -, @ or |, also as a full-width, small, superscript or subscript form, after any spaces and characters
    that are not seen; and a tab or line break at its start. One is put before a ``'`` too, so that `csv_text` gives
    back exactly what was there. Source: https://owasp.org/www-community/attacks/CSV_Injection
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
