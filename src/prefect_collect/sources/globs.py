"""Glob patterns over "/"-separated paths, fast for up to hundreds of thousands of patterns.

`*` matches any characters except "/", `?` one character except "/", `[a-c]` and `[!a-c]` one character of a set (never
"/"), and `**` any characters including "/"; as a whole folder of a glob (`a/**/b`) it matches any number of folders,
also none. Three or more `*` mean the same as two. Every other character, also a backslash, matches itself; a bracket is
written `[[]`. Case matters. A glob without "/" is matched against the last part of a path, a glob with "/" against the
whole path; a leading "/" has no other meaning, and a trailing "/" stands for everything below the folder.

However many patterns there are, a path is compared with few of them: patterns without wildcards are looked up whole,
and every other pattern is filed under three consecutive characters that it requires and few others do (`_Index`).

wcmatch 12 and pathspec 1.1 are not used, for three reasons (measured by ``python -m benchmarks.globs``). With 100,000
paths as patterns, they take 0.1 s for each path, this module 5 µs; with one pattern they take 6 and 2 times as long. A
glob with a dozen ``a/**/`` keeps both busy for more than 20 s over one long path; no glob does that here. And their
patterns mean other things: in pathspec, ``*.pdf`` also matches what lies below a folder of that name; in both, a
backslash escapes, ``a**b`` stays within a folder, ``[^a]`` is ``[!a]``, and an unclosed bracket is no error.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final

from prefect_collect.errors import InvalidQuery

_WILD: Final = frozenset("*?[")


@dataclass(frozen=True)
class Globs:
    """Several patterns that are matched together.

    `paths` and `names` are the patterns without wildcards, for whole paths and for last parts; `others` are the rest.
    """

    paths: frozenset[str]
    names: frozenset[str]
    others: _Index

    @cached_property
    def _only(self) -> re.Pattern[str] | None:
        """The one expression that all patterns are, if they are few and all have wildcards."""
        return None if self.paths or self.names or self.others.filed else self.others.unfiled

    def match(self, path: str) -> bool:
        """Return whether any of the patterns matches the path."""
        if self._only is not None:
            return self._only.match(path) is not None
        if path in self.paths or (self.names and path.rpartition("/")[2] in self.names):
            return True
        return self.others.match(path)


@dataclass(frozen=True)
class FolderGlobs:
    """A test for the folders ("a/b/") that may hold a path which one of several patterns matches.

    `everywhere` is True if a pattern may match below any folder; `folders` are the folders above the patterns without
    wildcards.
    """

    everywhere: bool
    folders: frozenset[str]
    others: re.Pattern[str] | None

    def match(self, folder: str) -> bool:
        """Return whether a path below the folder could match."""
        if self.everywhere or folder in self.folders:
            return True
        return self.others is not None and self.others.match(folder) is not None


def compile_globs(patterns: Sequence[str], *, field: str) -> Globs | None:
    """Return the globs compiled together; None if there are none.

    However many `*` or whole `**` folders a glob has, matching takes no longer than a few passes over the path; each
    `**` inside a name (`a**b`) may multiply that by the path's length. Raise InvalidQuery, naming `field`, for an empty
    glob, a bracket that is not closed, or a range that runs backwards.
    """
    return _compiled(tuple(patterns), field) if patterns else None


def compile_folder_globs(patterns: Sequence[str], *, field: str) -> FolderGlobs | None:
    """Return the test for folders ("a/b/") below which a path could match any of the globs; None if there are none.

    Raise InvalidQuery as `compile_globs` does.
    """
    return _compiled_folders(tuple(patterns), field) if patterns else None


# A query is created several times on its way to a job, with the same patterns each time.
@lru_cache(maxsize=8)
def _compiled(patterns: tuple[str, ...], field: str) -> Globs:
    paths, names, others = set[str](), set[str](), list[str]()
    for glob in patterns:
        if not isinstance(glob, str) or not glob or not _WILD.isdisjoint(glob) or glob.endswith("/"):
            others.append(glob)
        elif "/" in glob:
            paths.add(glob.lstrip("/"))
        else:
            names.add(glob)
    return Globs(frozenset(paths), frozenset(names), _Index.of(others, field))


@lru_cache(maxsize=8)
def _compiled_folders(patterns: tuple[str, ...], field: str) -> FolderGlobs:
    folders, others, everywhere = set[str](), list[str](), False
    for glob in patterns:
        if not isinstance(glob, str) or not _WILD.isdisjoint(glob) or glob.endswith("/") or "/" not in glob:
            segments = _segments(glob, field)
            everywhere = everywhere or segments[0] == ["**"]
            others.append(_folder_expression(segments))
        else:
            path = glob.lstrip("/")
            folders.update(path[: end + 1] for end, char in enumerate(path) if char == "/")
    alternatives = "|".join(rf"\A(?:{one})\Z" for one in dict.fromkeys(others))
    return FolderGlobs(everywhere, frozenset(folders), re.compile(alternatives, re.DOTALL) if others else None)


_FEW: Final = 20
"""Up to this many patterns are tried one after the other, as one expression."""

_GRAM: Final = 3
"""Characters of a gram: a piece of text that a path must contain to match a pattern."""


@dataclass(frozen=True)
class _Index:
    """Patterns with wildcards, filed by a gram that each requires.

    `filed` holds expressions by one of their grams; `unfiled` is one expression for those that require no gram.
    """

    filed: Mapping[str, tuple[str, ...]]
    unfiled: re.Pattern[str] | None
    _made: dict[str, re.Pattern[str]]

    @classmethod
    def of(cls, patterns: Sequence[str], field: str) -> _Index:
        """File each pattern under the rarest of its grams."""
        parsed = [_segments(glob, field) for glob in dict.fromkeys(patterns)]
        if len(parsed) <= _FEW:
            return cls({}, _any(map(_expression, parsed)), {})
        grams = [_grams(segments) for segments in parsed]
        shared = Counter(gram for some in grams for gram in some)
        filed, unfiled = dict[str, list[str]](), list[str]()
        for segments, some in zip(parsed, grams, strict=True):
            rarest = min(some, key=lambda gram: (shared[gram], gram), default=None)
            (unfiled if rarest is None else filed.setdefault(rarest, [])).append(_expression(segments))
        return cls({gram: tuple(some) for gram, some in filed.items()}, _any(unfiled), {})

    def match(self, path: str) -> bool:
        if self.unfiled is not None and self.unfiled.match(path):
            return True
        if not self.filed:
            return False
        grams = {path[at : at + _GRAM] for at in range(len(path) - _GRAM + 1)}
        return any(self._expression(gram).match(path) for gram in grams if gram in self.filed)

    def _expression(self, gram: str) -> re.Pattern[str]:
        """Return the patterns of a gram as one expression, which is compiled at its first use."""
        found = self._made.get(gram)
        if found is None:
            made = _any(self.filed[gram])
            assert made is not None
            found = self._made[gram] = made
        return found


def _any(expressions: Iterable[str]) -> re.Pattern[str] | None:
    alternatives = "|".join(rf"\A(?:{one})\Z" for one in expressions)
    return re.compile(alternatives, re.DOTALL) if alternatives else None


def _grams(segments: list[list[str]]) -> set[str]:
    """Return all grams that a path must contain to match."""
    found = set[str]()
    for segment in segments:
        run = ""
        for token in [*segment, "*"]:
            if len(token) <= 2 and token not in ("*", "**"):  # one character, perhaps escaped
                run += token[-1]
                continue
            found.update(run[at : at + _GRAM] for at in range(len(run) - _GRAM + 1))
            run = ""
    return found


def _expression(segments: list[list[str]]) -> str:
    *folders, name = segments
    # As in `_segment`: the folders between one "**" and the next are searched once, at their first occurrence.
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


def _folder_expression(segments: list[list[str]]) -> str:
    """Return an expression for every prefix of the glob that ends in "/", nested: `a/b/c` gives ``(?:a/(?:b/)?)?``."""
    out = ""
    for index, segment in reversed(list(enumerate(segments))):
        if "**" in segment:
            out = f"(?:{_segment(segment[: segment.index('**') + 1])})?"
        elif index < len(segments) - 1:
            out = f"(?:{_segment(segment)}/{out})?"
    return out


def _segments(glob: str, field: str) -> list[list[str]]:
    """Return the glob's tokens, folder by folder; consecutive `**` folders become one."""
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
    """Yield tokens: ``/``, ``*``, ``**``, or the expression of one character."""
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
    """Return the expression of one folder's or file's name.

    Each star except the last matches as little as possible and is not backtracked into. No match is missed, as a later
    star takes what an earlier one leaves; with backtracking, a few stars could take hours over one long name.
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
