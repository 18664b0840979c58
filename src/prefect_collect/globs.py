"""Glob patterns over "/"-separated paths, as one regular expression.

`*` is any run of characters but "/", `?` one character but "/", `[a-c]` and `[!a-c]` one of a set (never "/"), and `**`
any run, "/" too; as a whole folder of a glob (`a/**/b`) it stands for any number of folders, also none. All else,
also a backslash, stands for itself; a bracket is written `[[]`. Case counts. A glob without "/" is matched against the
last part of a path, one with "/" against the whole path; a "/" in front only says so; one at the end stands for
everything below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from prefect_collect.errors import InvalidQuery


def compile_globs(patterns: Sequence[str], *, field: str) -> re.Pattern[str] | None:
    """One expression that `match`es a path if any glob does; None if there are no globs.

    However many `*` or whole `**` folders a glob has, matching takes no longer than a few passes over the path; each
    `**` inside a name (`a**b`) may multiply that by the path's length. Raises InvalidQuery, naming `field`, for an
    empty glob, a bracket that is not closed, or a range that runs backwards.
    """
    return _any(patterns, field, _expression)


def compile_folder_globs(patterns: Sequence[str], *, field: str) -> re.Pattern[str] | None:
    """One expression that `match`es a folder ("a/b/") if a path below it could match any of the globs.

    None if there are no globs. Raises InvalidQuery as `compile_globs` does.
    """
    return _any(patterns, field, _folder_expression)


def _any(patterns: Sequence[str], field: str, expression: Callable[[str, str], str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(rf"\A(?:{expression(glob, field)})\Z" for glob in patterns), re.DOTALL)


def _expression(glob: str, field: str) -> str:
    segments = _segments(glob, field)
    *folders, name = segments
    # As in `_segment`: the folders between one "**" and the next are looked for once, where they come first.
    once = not any("**" in segment for segment in segments if segment != ["**"])
    out = ""
    while folders:
        if folders[0] != ["**"]:
            out += _segment(folders.pop(0)) + "/"
            continue
        next_any = folders.index(["**"], 1) if ["**"] in folders[1:] else 0
        if once and next_any:
            out += "(?>(?:.*?/)??" + "".join(_segment(folder) + "/" for folder in folders[1:next_any]) + ")"
            del folders[:next_any]
        else:
            out += "(?:.*/)?"
            del folders[0]
    return out + _segment(name)


def _folder_expression(glob: str, field: str) -> str:
    """Every beginning of the glob that ends in a "/", nested: `a/b/c` gives ``(?:a/(?:b/)?)?``."""
    out = ""
    for index, segment in reversed(list(enumerate(segments := _segments(glob, field)))):
        if "**" in segment:
            out = f"(?:{_segment(segment[: segment.index('**') + 1])})?"
        elif index < len(segments) - 1:
            out = f"(?:{_segment(segment)}/{out})?"
    return out


def _segments(glob: str, field: str) -> list[list[str]]:
    """The glob's tokens, folder by folder; `**` folders in a row are one."""
    if not isinstance(glob, str) or not glob:
        raise InvalidQuery(f"{field} holds {glob!r}, which is not a glob such as '*.pdf' or 'inbox/**'.")
    text = glob if "/" in glob else f"**/{glob}"
    text = text.lstrip("/") + ("**" if text.endswith("/") else "")
    segments: list[list[str]] = [[]]
    for token in _tokens(text, glob, field):
        if token != "/":
            segments[-1].append(token)
        elif segments[-1] == ["**"] and segments[-2:-1] == [["**"]]:
            segments[-1] = []
        else:
            segments.append([])
    return segments


def _tokens(text: str, glob: str, field: str) -> Iterator[str]:
    """``/``, ``*``, ``**``, or the expression of one character."""
    i = 0
    while i < len(text):
        char = text[i]
        if char == "*":
            stars = len(text) - i - len(text[i:].lstrip("*"))
            yield "*" if stars == 1 else "**"
            i += stars
        elif char == "[":
            # The first character of a set may be "]" itself.
            first = i + 2 if text.startswith("!", i + 1) else i + 1
            end = text.find("]", first + 1)
            if end < 0:
                raise InvalidQuery(f"{field} holds {glob!r}, whose '[' is not closed (a bracket is written '[[]').")
            yield _set(text[first:end], glob, field, negated=first == i + 2)
            i = end + 1
        else:
            yield {"/": "/", "?": "[^/]"}.get(char) or re.escape(char)
            i += 1


def _set(inner: str, glob: str, field: str, *, negated: bool) -> str:
    out, i = [], 0
    while i < len(inner):
        if inner[i + 1 : i + 2] == "-" and i + 2 < len(inner):
            low, high = inner[i], inner[i + 2]
            if low > high:
                raise InvalidQuery(f"{field} holds {glob!r}, whose range '{low}-{high}' runs backwards.")
            out.append(f"{_in_set(low)}-{_in_set(high)}")
            i += 3
        else:
            out.append(_in_set(inner[i]))
            i += 1
    return f"(?!/)[{'^' if negated else ''}{''.join(out)}]"


def _in_set(char: str) -> str:
    return "\\" + char if char in r"\]^-[&~|" else char


def _segment(tokens: list[str]) -> str:
    """One folder's or file's name. A star but the last takes as little as it can, and no second try at more.

    That misses no match, as a later star takes what an earlier one leaves; with second tries a few stars would take
    hours over one long name.
    """
    stars = [index for index, token in enumerate(tokens) if token in ("*", "**")]
    out = tokens[: stars[0]] if stars else tokens[:]
    for star, end in pairwise([*stars, len(tokens)]):
        fixed = "".join(tokens[star + 1 : end])
        if tokens[star] == "**":
            out.append(f".*{fixed}")
        else:
            out.append(f"[^/]*{fixed}" if end == len(tokens) else f"(?>[^/]*?{fixed})")
    return "".join(out)
