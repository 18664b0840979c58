"""Paths: safe and distinct, and unchanged after being written to text files and read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.archive.item_paths import marked_path, name_to_folder, safe_path
from prefect_collect.packages.bags.text import bag_decode, bag_encode
from prefect_collect.packages.building.portable_paths import whats_wrong

PARTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["", ".", "..", "C:", "c:x", "a\\b", "nul\0", "x" * 255, "é" * 200, "a~0123456789abcdef.txt", "\udcff", "a.txt"]
    ),
)
ORIGINALS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)


def assert_safe(path: str) -> None:
    """Assert what must be true of every path."""
    assert len(path.encode()) <= 60_000
    assert not re.match("[A-Za-z]:", path)
    assert not re.search("[\0\\\\]", path)
    for part in path.split("/"):
        assert part not in ("", ".", "..")
        assert len(part.encode()) <= 255


@given(ORIGINALS, st.text(max_size=5))
def test_every_path_is_safe(original: str, item_id: str) -> None:
    """Whatever a source calls an item, its path is relative and has good parts."""
    assert_safe(safe_path(original, item_id))


@given(st.lists(ORIGINALS, min_size=2, max_size=6, unique=True))
def test_items_do_not_meet(originals: list[str]) -> None:
    """Items with distinct ids and originals get distinct paths, even if one is named like an altered path."""
    items = [(original, f"id {original!a}") for original in originals]
    items += [(path, f"copy of {path}") for path in {safe_path(*item) for item in items} - set(originals)]
    assert len({safe_path(*item) for item in items}) == len(items)


@pytest.mark.parametrize(
    "path",
    [
        "a/b.txt",
        "new\nline",
        "100%",
        "q\"'",
        "=1+1",
        "日本語/é",
        ".hidden",
        "...",
        "a/..b",
        "x" * 255,
        "~tmp",
        "a b",
        "b:c",
    ],
)
def test_fine_paths_stay(path: str) -> None:
    """Names that are merely unusual are not changed."""
    assert safe_path(path, "id") == (path if path != "b:c" else "b_c~a56145270ce6b3be")


@pytest.mark.parametrize(
    ("original", "altered"),
    [
        ("/etc/passwd", "etc/passwd~a56145270ce6b3be"),
        ("../../x.tar.gz", "x.tar~a56145270ce6b3be.gz"),
        ("a//b/", "a/b~a56145270ce6b3be"),
        ("..", "unnamed~a56145270ce6b3be"),
        ("C:/x.txt", "C_/x~a56145270ce6b3be.txt"),
        ("a\\b\0.txt", "a_b_~a56145270ce6b3be.txt"),
        (".b\udcff", ".b_~a56145270ce6b3be"),
        ("a~0123456789abcdef.txt", "a~0123456789abcdef~a56145270ce6b3be.txt"),
    ],
)
def test_altered_paths(original: str, altered: str) -> None:
    """An altered path is marked, before its extension."""
    assert safe_path(original, "id") == altered


def test_long_paths_are_cut() -> None:
    """A part of 300 bytes and a path of 100,000 are cut at a character."""
    assert_safe(safe_path("é" * 150 + ".txt", "id"))
    assert safe_path("é" * 150 + ".txt", "id").endswith("~a56145270ce6b3be.txt")
    long = safe_path("folder/" * 20_000 + "x.txt", "id")
    assert_safe(long)
    assert len(long) > 59_900


def test_a_marked_path_keeps_its_folder() -> None:
    """Only the last part changes."""
    assert marked_path("a.b/c", "id") == "a.b/c~a56145270ce6b3be"


@given(st.text())
def test_bag_encoding_comes_back(path: str) -> None:
    """RFC 8493, section 2.1.3: the encoded path has no line break, and decodes to the path."""
    encoded = bag_encode(path)
    assert not re.search("[\r\n]", encoded)
    assert bag_decode(encoded) == path


def test_bag_encodes_only_three_characters() -> None:
    """LF, CR and %, and nothing else."""
    assert bag_encode("a\nb\rc%0A é\t") == "a%0Ab%0Dc%250A é\t"
    assert bag_decode("100%20") == "100%20"


@given(st.text() | st.sampled_from(["con", "CON.backup-0", "nul.tar.gz", "-aux", "com¹.x", "a.", "lpt9"]))
def test_folder_names(name: str) -> None:
    """Any job name gives a folder name that Windows accepts too: every item of a package is in that folder."""
    folder = name_to_folder(name)
    assert not whats_wrong(folder)
    assert re.fullmatch(r"[\w.-]+", folder)
    assert not folder.startswith((".", "-"))
    assert len(folder.encode()) <= 100


def test_a_plain_name_stays() -> None:
    """A name of allowed characters becomes the folder; a name without any becomes a default word."""
    assert name_to_folder("Docs_2024-1.b") == "Docs_2024-1.b"
    assert name_to_folder("Müller & Co/α") == "Müller-Co-α"
    assert name_to_folder("../..") == "collection"
