"""Glob patterns over "/"-separated paths, as one regular expression."""

from __future__ import annotations

import re
from collections.abc import Sequence

from prefect_collect.errors import InvalidQuery


def compile_globs(patterns: Sequence[str], *, field: str) -> re.Pattern[str] | None:
    """One expression that `search`es true for a path if any glob matches it; None if there are no globs.

    `*` is any run of characters but "/", `**` any run, `?` one character but "/", `[a-c]` and `[!a-c]` one of a set. A glob
    without "/" is matched against the last part of the path, one with "/" against the whole path; a trailing "/"
    stands for everything below. Raises InvalidQuery, naming `field`, for an empty glob or an open bracket.
    """
    if not patterns:
        return None
    return re.compile("|".join(_translate(glob, field) for glob in patterns), re.DOTALL)


def _translate(glob: str, field: str) -> str:
    if not isinstance(glob, str) or not glob:
        raise InvalidQuery(f"{field} holds {glob!r}, which is not a glob such as '*.pdf' or 'inbox/**'.")
    anchored = glob.removesuffix("/").find("/") >= 0 or glob.endswith("/")
    text = glob.lstrip("/") + ("**" if glob.endswith("/") else "")
    out, i = [], 0
    while i < len(text):
        char = text[i]
        if text.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 3
        elif text.startswith("**", i):
            out.append(".*")
            i += 2
        elif char in "*?":
            out.append("[^/]*" if char == "*" else "[^/]")
            i += 1
        elif char == "[":
            end = text.find("]", i + 2 if text[i + 1 : i + 2] in ("!", "]") else i + 1)
            if end < 0:
                raise InvalidQuery(f"{field} holds {glob!r}, whose '[' is not closed.")
            inner = text[i + 1 : end].replace("\\", "\\\\")
            out.append("[" + ("^/" + inner[1:] if inner.startswith("!") else inner) + "]")
            i = end + 1
        else:
            out.append(re.escape(char))
            i += 1
    try:
        re.compile("".join(out))
    except re.error as error:
        raise InvalidQuery(f"{field} holds {glob!r}, which is not a glob: {error}.") from error
    return (r"\A" if anchored else r"(?:\A|/)") + "".join(out) + r"\Z"
