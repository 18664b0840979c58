"""The example in docs/writing-a-source.md runs, and states the right number of items."""

from __future__ import annotations

import re
import sqlite3
import sys
import types
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.sources import Content, Item, ListingEnd
from prefect_collect.sources.listing import items_of, proven

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-source.md"
FILES = {1: ("a.txt", b"one"), 2: ("From here/b.txt", b"two\n\nFrom a line like this\n"), 7: ("c.txt", b"")}


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    """The class of the page's first example, in a module of its own."""
    (code, *_) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    module = types.ModuleType("database_source_example")
    sys.modules[module.__name__] = module
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    yield module.__dict__["DatabaseSource"]
    del sys.modules[module.__name__]


def add(path: Path, files: dict[int, tuple[str, bytes]]) -> None:
    """Put files into the database."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany("INSERT INTO files VALUES (?, ?, ?)", [(key, *row) for key, row in files.items()])


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with three files."""
    path = tmp_path / "sales.db"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE files (id INTEGER PRIMARY KEY, name TEXT, content BLOB)")
    add(path, FILES)
    return path


def test_example_is_short() -> None:
    """The example has about 40 lines of code."""
    (code, *_) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) < 45


def test_example_reads(example: Any, database: Path) -> None:
    """The example lists and reads every file, with others and alone, and proves their number."""
    source = example(name="sales", path=database)
    items = list(items_of(source))
    assert [(item.path, item.size) for item in items] == [(name, len(data)) for name, data in FILES.values()]
    for item, got in source.read_many(items, 2):
        assert isinstance(got, Content)
        assert b"".join(got.chunks) == FILES[int(item.id)][1]


def test_example_counts_one_moment(example: Any, database: Path) -> None:
    """The listing's end states the number of its rows, whatever rows are added meanwhile."""
    source = example(path=database)
    listing = proven(source)
    first = next(listing)
    add(database, dict.fromkeys(range(100, 200), ("late.txt", b"")))
    *rest, end = listing
    assert (len([first, *rest]), end) == (3, ListingEnd("SQLite counts 3 rows", items=3))
    assert len(list(items_of(source))) == 103


def test_example_fails_clearly(example: Any, database: Path, tmp_path: Path) -> None:
    """A missing row is a failure of the item, a missing database a failure of the job."""
    source = example(path=database)
    ((item, got),) = source.read_many([Item("9", "d.txt")], 1)
    failure = source.classify(got, item)
    assert failure is not None
    assert (failure.code, failure.message) == ("not_found", f"The row is gone. [sqlite://{database}/d.txt]")
    gone = example(path=tmp_path / "none")
    with pytest.raises(sqlite3.Error) as caught:
        list(items_of(gone))
    job = gone.classify(caught.value)
    assert job is not None
    assert job.code == "read_error"
