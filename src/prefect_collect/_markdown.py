"""Text from outside in Markdown, so that it is shown as it is and changes nothing around it (CommonMark 0.31, GFM)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

_SPECIAL: Final = re.compile(r"[\\`*_\[\]<>|#~&!$]")
_LIST: Final = re.compile(r"\A([-+=]|\d+(?=[.)]))")
_IN_URLS: Final = "!#$%&'()*+,/:;=?@[]~"
_UNSEEN: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def plain(text: str) -> str:
    """The text on one line, with every character that Markdown would read as its own escaped."""
    escaped = _SPECIAL.sub(r"\\\g<0>", _one_line(text))
    start = _LIST.match(escaped)
    if start is None:
        return escaped
    return f"\\{escaped}" if not start[0].isdigit() else f"{start[0]}\\{escaped[start.end() :]}"


def code(text: str) -> str:
    """The text on one line as a code span, outside of tables; what it holds of backticks does not end it."""
    line = _one_line(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else "` `"


def link(label: str, url: str) -> str:
    """A link; what cannot be in its address is percent-encoded."""
    return f"[{plain(label)}](<{quote(url, safe=_IN_URLS)}>)"


def _one_line(text: str) -> str:
    return _UNSEEN.sub(" ", text).strip()
