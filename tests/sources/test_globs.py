"""Globs over paths, compared with fnmatch, pathlib and glob where they agree, and with a plain matcher otherwise."""

from __future__ import annotations

import glob
import re
import warnings
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prefect_collect.errors import InvalidQuery
from prefect_collect.sources.globs import compile_folder_globs, compile_globs

NAMES = st.text("ab.-]^!\n\\é", min_size=1, max_size=5).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)
NAME_GLOBS = st.lists(
    st.sampled_from([*"ab.-\n\\é?", "*", "[ab]", "[!ab]", "[a-b]", "[]a]", "[!]a]", "[a-]", "[^a]", "[.-a]"]),
    min_size=1,
    max_size=6,
).map("".join)


def matches(pattern: str, path: str) -> bool:
    """Return whether one glob matches a path."""
    compiled = compile_globs([pattern], field="include")
    assert compiled is not None
    return compiled.match(path)


@cache
def plainly(pattern: str, path: str) -> bool:
    """Return whether a whole-path glob without sets matches, by a recursion that is slow and obvious."""
    if not pattern:
        return not path
    if pattern.startswith("/**/"):  # "**" as a whole folder: any number of folders, also none.
        return plainly(pattern[3:], path) or (
            path.startswith("/") and any(plainly(pattern[3:], path[i:]) for i in range(1, len(path)) if path[i] == "/")
        )
    if pattern.startswith("**"):
        rest = pattern.lstrip("*")
        return any(plainly(rest, path[i:]) for i in range(len(path) + 1))
    if pattern[0] == "*":
        return plainly(pattern[1:], path) or (path[:1] not in ("", "/") and plainly(pattern, path[1:]))
    fits = path[:1] not in ("", "/") if pattern[0] == "?" else path[:1] == pattern[0]
    return fits and plainly(pattern[1:], path[1:])


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.pdf", "a.pdf", True),
        ("*.pdf", "inbox/2024/a.pdf", True),
        ("*.pdf", "a.PDF", False),
        ("*.pdf", "a.pdf/b", False),
        ("a.pdf", "xa.pdf", False),
        ("inbox/*.pdf", "inbox/a.pdf", True),
        ("inbox/*.pdf", "inbox/2024/a.pdf", False),
        ("inbox/*.pdf", "old/inbox/a.pdf", False),
        ("/a.pdf", "a.pdf", True),
        ("/a.pdf", "inbox/a.pdf", False),
        ("inbox/", "inbox/2024/a.pdf", True),
        ("inbox/", "inbox", False),
        ("inbox/**", "inbox/2024/a.pdf", True),
        ("**/2024/*", "2024/a.pdf", True),
        ("**/2024/*", "x/y/2024/a.pdf", True),
        ("**/2024/*", "x/y2024/a.pdf", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "axb", False),
        ("a**/b", "ab", False),
        ("a**/b", "a/b", True),
        ("a**b", "a/x/b", True),
        ("a**b", "x/a/x/b", True),
        ("/", "anything/at all", True),
        ("a//b", "a//b", True),
        ("a//b", "a/b", False),
        ("[[]draft]*", "[draft] x", True),
        ("[a/b]", "a", True),
        ("x[!a]y", "x/y", False),
        ("x[+-9]y", "x/y", False),
        ("x?y", "x/y", False),
        ("[^a]", "b", False),
        ("[^a]", "^", True),
        ("a\\*", "a\\b", True),
        ("a*c", "a\nb\nc", True),
        ("a", "a\n", False),
        ("", "", None),
        ("[ab", "a", None),
        ("[]", "]", None),
        ("[!]", "!", None),
        ("[b-a]", "a", None),
    ],
)
def test_examples(pattern: str, path: str, expected: bool | None) -> None:
    """Each documented case of a glob; None: the glob is refused, and the message names the field."""
    if expected is None:
        with pytest.raises(InvalidQuery, match=r"^exclude holds "):
            compile_globs([pattern], field="exclude")
    else:
        assert matches(pattern, path) is expected


def test_no_globs_are_no_expression() -> None:
    """Without globs the result is None, which differs from a matcher that matches nothing."""
    assert compile_globs([], field="include") is None
    assert compile_folder_globs((), field="include") is None


@given(NAME_GLOBS, PATHS)
@example("*a*b", "aab/ab")
def test_a_name_glob_is_fnmatch_of_the_name(pattern: str, path: str) -> None:
    """A glob without "/" matches a path exactly if fnmatch matches its last part, and so does pathlib."""
    if "**" in pattern:
        return
    try:
        found = matches(pattern, path)
    except InvalidQuery:
        return  # fnmatch takes what is not closed or runs backwards for something else than was meant.
    assert found == fnmatchcase(path.rsplit("/", 1)[-1], pattern)
    if pattern != ".":
        assert found == PurePosixPath(path).match(pattern)


@given(st.lists(NAME_GLOBS, min_size=2, max_size=4), PATHS)
def test_a_path_glob_is_fnmatch_folder_by_folder(segments: list[str], path: str) -> None:
    """A glob with "/" matches exactly if it has as many parts as the path, and fnmatch matches each."""
    pattern = "/".join(segments)
    if "**" in pattern:
        return
    parts = path.split("/")
    try:
        found = matches(pattern, path)
    except InvalidQuery:
        return
    assert found == (len(parts) == len(segments) and all(map(fnmatchcase, parts, segments)))


@given(
    st.text("ab*?/", min_size=1, max_size=12).filter(lambda text: "/" in text.strip("/") and not text.startswith("/")),
    st.text("ab/", max_size=12),
)
@example("**/a/**/a/**/b", "a/b/a/a/b")
@example("a*b**c/**/d", "axb/c/d/d")
@example("**/a**b/**/c/**/x", "ab/c/ab/x")
@example("**/*a/**", "ba/")
@example("***/?", "a")
def test_any_glob_means_what_the_plain_matcher_says(pattern: str, path: str) -> None:
    """With `**` anywhere, the expression without backtracking agrees with a matcher that tries everything."""
    whole = re.sub(r"\*{3,}", "**", pattern) + ("**" if pattern.endswith("/") else "")
    assert matches(pattern, path) == plainly(f"/{whole}", f"/{path}")


def test_double_stars_select_what_glob_selects(tmp_path: Path) -> None:
    """On a real tree, `**` as a folder selects the files that Python's glob selects."""
    files = ["a", "b/a", "b/c/a", "b/c/d/a.txt", "b/c/d/e", "c/a", "c/c/c/a", "é/a", ".h/a"]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for pattern in ("**/a", "b/**/a", "**/c/**/a", "**/c/*", "**/*.txt", "b/**/d/*", "**/c/**/*", "*/a", "**/[b-c]/a"):
        found = glob.glob(pattern, root_dir=tmp_path, recursive=True, include_hidden=True)
        expected = {name for name in found if (tmp_path / name).is_file()}
        assert {name for name in files if matches(pattern, name) and ("/" in pattern)} == expected, pattern


@given(st.text(max_size=12), st.text(max_size=20))
def test_any_text_compiles_or_is_refused(pattern: str, path: str) -> None:
    """Any text is a glob or an InvalidQuery, never another error, nor a warning of the regular expressions."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            matches(pattern, path)
            compile_folder_globs([pattern], field="include")
        except InvalidQuery:
            pass


@given(st.text("ab*?/", min_size=1, max_size=10), st.text("ab/", min_size=1, max_size=10))
def test_a_folder_above_a_match_may_hold_one(pattern: str, path: str) -> None:
    """If a path matches a glob, each folder above it matches the folder expression: none is excluded wrongly."""
    folders = compile_folder_globs([pattern], field="include")
    assert folders is not None
    if matches(pattern, path):
        for index, char in enumerate(path):
            if char == "/":
                assert folders.match(path[: index + 1])


@pytest.mark.parametrize(
    ("pattern", "folder", "expected"),
    [
        ("*.pdf", "any/where/", True),
        ("inbox/*.pdf", "inbox/", True),
        ("inbox/*.pdf", "outbox/", False),
        ("inbox/*.pdf", "inbox/2024/", False),
        ("inbox/**", "inbox/2024/x/", True),
        ("in*/**/x/*.pdf", "inbox/2024/", True),
        ("in*/x/*.pdf", "out/x/", False),
        ("a/x**.pdf", "a/xy/z/", True),
        ("a/x**.pdf", "a/y/", False),
    ],
)
def test_folders_that_may_hold_a_match(pattern: str, folder: str, expected: bool) -> None:
    """A folder is excluded only if nothing below it could match."""
    folders = compile_folder_globs([pattern], field="include")
    assert folders is not None
    assert bool(folders.match(folder)) is expected


@pytest.mark.parametrize("pattern", ["*a" * 12 + "*b", "**/" + "a/**/" * 12 + "b", "/".join(["*a*a*a*a*b"] * 4)])
def test_many_stars_end(pattern: str) -> None:
    """Globs that would keep a backtracking matcher busy for hours are matched at once (or the test would not end)."""
    assert not matches(pattern, "a" * 2000)
    assert not matches(pattern, "a/" * 500 + "c")
    assert not matches(pattern, "/".join(["a" * 250] * 4))
