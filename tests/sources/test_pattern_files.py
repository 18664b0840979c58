"""Files of patterns, as users and programs write them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.errors import InvalidQuery, UsageError
from prefect_collect.sources import Item
from prefect_collect.sources.globs import compile_globs
from prefect_collect.sources.pattern_files import read_patterns
from prefect_collect.sources.query import Query
from tests.examples import examples


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"*.pdf\nmail/**\n", ("*.pdf", "mail/**")),
        (b"\xef\xbb\xbf*.pdf\r\n\r\n  \t\r\nmail/**", ("*.pdf", "mail/**")),
        (b"# a comment\n\\#1.txt\n#\n##\na # no comment\n", ("#1.txt", "a # no comment")),
        ("  Ä ö.txt \n".encode(), ("Ä ö.txt",)),
        (b"\\a\n", ("\\a",)),
    ],
)
def test_lines(tmp_path: Path, data: bytes, expected: tuple[str, ...]) -> None:
    """Each line is a pattern, without byte order mark, CR, empty lines and comments; an escaped # begins a pattern."""
    file = tmp_path / "patterns"
    file.write_bytes(data)
    assert read_patterns(file, "include") == expected


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a\n\n*.pdf\n[a\nb", "Line 4 of the file of --exclude-from: exclude holds '.a', whose '.' is not"),
        (b"a\nb\xff\n", "Line 2 of the file of --exclude-from is not UTF-8"),
        (b"a\n[b-a]\n", "Line 2 of the file of --exclude-from: .*runs backwards"),
        (b"a\nb\0c\n", "Line 2 .* NUL"),
        ("a\n".encode("utf-16"), "is UTF-16; save it as text in UTF-8"),
        (b"PK\x03\x04...", "is a ZIP file or a workbook"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    """A file or line that cannot be used is refused with the names of line and file."""
    file = tmp_path / "patterns"
    file.write_bytes(data)
    with pytest.raises(UsageError, match=said) as caught:
        read_patterns(file, "exclude")
    assert str(file) in str(caught.value)


def test_nothing_to_include_is_not_everything(tmp_path: Path) -> None:
    """An empty file to include from is refused, as no pattern means everything; one to exclude from is not."""
    file = tmp_path / "patterns"
    file.write_text("# none yet\n")
    with pytest.raises(InvalidQuery, match="would include everything"):
        read_patterns(file, "include")
    assert read_patterns(file, "exclude") == ()
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_patterns(tmp_path / "missing", "include")


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_patterns_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever bytes a file has, its patterns can be used, or it is refused with UsageError."""
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(data)
    with suppress(UsageError):
        Query(exclude=read_patterns(file, "exclude")).matches(Item("a", "a"))


GLOBS = st.lists(st.sampled_from([*"ab./", "*", "**", "?", "[ab]", "abc", "bca"]), min_size=1, max_size=6).map("".join)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(GLOBS, min_size=22, max_size=40), st.lists(st.text("abc./", min_size=1, max_size=12), max_size=12))
def test_many_patterns_match_what_each_does(patterns: list[str], paths: list[str]) -> None:
    """Many patterns together match exactly the paths that one of them matches."""
    many = compile_globs(patterns, field="include")
    each = [compile_globs([pattern], field="include") for pattern in patterns]
    assert many is not None
    for path in paths:
        assert many.match(path) is any(one is not None and one.match(path) for one in each)


@pytest.mark.parametrize("form", ["a/{:06d}.pdf", "*-{:06d}.pdf", "a/**/x{:06d}*", "?{:06d}"])
def test_ten_thousand_patterns_over_ten_thousand_items(form: str) -> None:
    """Many patterns are not all tried on each item, which would take minutes."""
    query = Query(include=tuple(form.format(n) for n in range(10_000)))
    paths = [f"a/{n:06d}.pdf" for n in range(0, 20_000, 20_000 // examples(10_000))]
    taken = sum(query.matches(Item(path, path)) for path in paths)
    assert taken == (examples(5_000) if form.startswith("a/{") else 0)
