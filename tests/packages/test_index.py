"""The index of a package's files: its batched look-ups and sorts give the same as single ones."""

from __future__ import annotations

import sqlite3
from collections import Counter
from itertools import chain

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prefect_collect.archive.unsafe_names import may_be_unsafe, unsafe
from prefect_collect.packages.contents import index as index_module
from prefect_collect.packages.contents import repeats as repeats_module
from prefect_collect.packages.contents.index import Entry, FileIndex
from prefect_collect.packages.contents.name_keys import fold, pack, packed
from tests.examples import examples

NAMES = st.text(alphabet="aB./\\\0:\n é~\ud800", max_size=7)
SHORT = st.text("abC", min_size=1, max_size=3)


@pytest.mark.parametrize("shared", [1, 3, 1000])
@settings(max_examples=examples(30), deadline=None)
@given(groups=st.lists(st.lists(st.integers(-5, 5), max_size=6), max_size=6), most=st.integers(1, 12))
def test_repeated_hashes(shared: int, groups: list[list[int]], most: int) -> None:
    """Repeated hashes are found, also if only a share of them is sorted at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats_module, "_SORTED_AT_ONCE", shared)
        repeats = repeats_module.Repeats(sqlite3.connect(""), "some")
        for group in groups:
            repeats.add(group)
        twice = {value for value, count in Counter(chain.from_iterable(groups)).items() if count > 1}
        found = repeats.repeated(most)
    assert found <= twice
    assert len(found) == min(most, len(twice))


@settings(max_examples=examples(60), deadline=None)
@given(
    names=st.lists(SHORT, max_size=40) | st.lists(SHORT, max_size=40, unique=True),
    lists=st.lists(st.lists(SHORT, max_size=40), max_size=12),
    as_they_are=st.booleans(),
)
def test_finding_files_in_any_order(names: list[str], lists: list[list[str]], as_they_are: bool) -> None:
    """In any order of lists, with names left out or repeated, each name gives its first file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "_WORTHWHILE", 2)
        patch.setattr(index_module, "_AT_ONCE", 4)
        index = FileIndex()
        for number, name in enumerate(names):
            index.add(Entry(number, name, 10 * number))
        index.finish()
        first = {name: (number, 10 * number) for number, name in reversed(list(enumerate(names)))}
        for wanted in ([names] if as_they_are else []) + lists + [names]:
            assert index.find_all(wanted) == {name: first[name] for name in wanted if name in first}
        index.close()


@settings(max_examples=examples(300), deadline=None)
@example(names=["a", "", "b"])
@example(names=["a/", "/b"])
@given(names=st.lists(NAMES, min_size=1, max_size=4))
def test_names_that_may_be_unsafe(names: list[str]) -> None:
    """No name that is refused, or has a backslash, is among those that are not checked one by one."""
    assert may_be_unsafe([pack(name) for name in names]) or not any(unsafe(n) or "\\" in n for n in names)


@settings(max_examples=examples(100), deadline=None)
@given(name=NAMES)
def test_keys_of_a_name(name: str) -> None:
    """The fast way to both keys of a name gives the same as each single way."""
    assert packed(name) == (pack(name), fold(name))
