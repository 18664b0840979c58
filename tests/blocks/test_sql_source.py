"""The block of a database: its URL, its secrets, and how its rows are written."""

from __future__ import annotations

import io
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from prefect_collect.blocks import SqlSource, source_from
from prefect_collect.connectors.sql.csv_rows import line
from prefect_collect.connectors.sql.parquet import Encoder
from prefect_collect.connectors.sql.tables import Column, Shape, Slice, Table, named
from prefect_collect.errors import InvalidLocation, SourceError
from tests.examples import examples

HIDDEN = "hush-hush/@:"


@pytest.mark.parametrize(
    ("url", "location", "password"),
    [
        ("postgresql://ann@host/sales", "postgresql://ann@host/sales", None),
        ("postgres://host:5433/sales?sslmode=verify-full", "postgres://host:5433/sales?sslmode=verify-full", None),
        ("postgresql:///sales", "postgresql:///sales", None),
        ("postgresql://ann:hush-hush%2F%40%3A@host/sales", "postgresql://ann@host/sales", HIDDEN),
        ("mysql://ann:hush-hush%2F@:@[::1]:3306/sales", "mysql://ann@[::1]:3306/sales", "hush-hush/@:"),
        ("mariadb://ann:hush-hush%2F%40%3A@host/sales", "mariadb://ann@host/sales", HIDDEN),
        ("postgres://ann:hush-hush%2F@:@host/sales", "postgres://ann@host/sales", HIDDEN),
        ("mysql://ann:hush-hush?x@host/sales?ssl_key=/k", "mysql://ann@host/sales?ssl_key=/k", "hush-hush?x"),
        ("mariadb://ann:@host/sales", "mariadb://ann@host/sales", None),
        ("sqlite:////srv/a b.db", "sqlite:////srv/a b.db", None),
        ("sqlite:////srv/../x.db", "sqlite:////x.db", None),
    ],
)
def test_urls(url: str, location: str, password: str | None) -> None:
    """A URL names a database; a password in it becomes a secret, and shows nowhere."""
    source = source_from(url, name="sales")
    assert isinstance(source, SqlSource)
    assert source.location() == location
    assert (source.password and source.password.get_secret_value()) == password
    assert source._access().password == password
    again = SqlSource.model_validate(json.loads(source.model_dump_json(context={"include_secrets": True})))
    assert again._access() == source._access() == pickle.loads(pickle.dumps(source))._access()
    if password:
        assert "hush" not in SqlSource(url=url).name
        shown = (
            repr(source)
            + repr(source._access())
            + source.model_dump_json()
            + str(source._access().error("timeout", "y"))
        )
        assert "hush" not in shown


def test_a_path_below_the_folder_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path of SQLite that is not absolute is below the folder of now, also for workers in other folders."""
    monkeypatch.chdir(tmp_path)
    assert SqlSource(url="sqlite:///sales.db").location() == f"sqlite:///{tmp_path}/sales.db"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Give either url or connector"),
        ({"url": "postgresql://h/d", "connector": "x"}, "Give either url or connector"),
        ({"url": "oracle://ann:hush-hush@h/d"}, "url must be postgresql://"),
        ({"url": "postgresql://ann:hush-hush@host"}, "must name a database"),
        ({"url": "postgresql://ann:hush-hush@host/"}, "must name a database"),
        ({"url": "postgresql://ann:hush-hush@host/a/b"}, "must name a database"),
        ({"url": "mysql:///sales"}, "must name a database"),
        ({"url": "postgresql://host/d?password=hush-hush"}, "must not contain a secret.* field password"),
        ({"url": "mysql://u@host/d?ssl_key=/k&ssl_key_password=hush-hush"}, "such as 'ssl_key_password'"),
        ({"url": "postgresql://host/d?oauth_client_secret=hush-hush"}, "such as 'oauth_client_secret'"),
        ({"url": "mysql://u@host/d?PassWD=hush-hush"}, "such as 'PassWD'"),
        ({"url": "mysql://u@host/d?x=1&ssl%5Fpass%77ord=hush-hush"}, "such as 'ssl_password'"),
        ({"url": "mariadb://u@host/d?auth_token=hush-hush"}, "such as 'auth_token'"),
        ({"url": "mariadb://u@host/d?x=1;PWD=hush-hush"}, "such as 'PWD'"),
        ({"url": "postgresql://ann:hush-hush/x@host"}, "has @ after its server"),
        ({"url": "postgresql://ann:hush-hush/x"}, "port that is no number"),
        ({"url": "postgresql://host/d#x"}, "must not contain #"),
        ({"url": "postgresql://ann:hush-hush@host/d", "password": "other"}, "password is in the URL too"),
        ({"url": "sqlite://"}, "must name a file"),
        ({"url": "sqlite:///"}, "must name a file"),
        ({"url": "sqlite://shop.db"}, "as sqlite:////path/to/file.db"),
        ({"url": "sqlite:///x.db?mode=rw"}, "must name a file"),
        ({"url": "postgresql://h/d", "tables": ["a"], "query": "SELECT 1"}, "exclude each other"),
        ({"connector": "a/b/c"}, "must be the name of a saved block"),
        ({"connector": "a", "password": "x"}, "goes with url only"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], says: str) -> None:
    """What cannot be used is refused with its field, and without a secret."""
    with pytest.raises(InvalidLocation, match=says) as caught:
        SqlSource(**fields)
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(("url", "driver"), [("postgresql://h/d", "psycopg"), ("mysql://h/d", "PyMySQL")])
def test_a_driver_that_is_not_installed(url: str, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its driver a database is not reached, and the error says how to install it."""
    monkeypatch.setitem(sys.modules, driver.lower(), None)
    with pytest.raises(SourceError, match=rf"needs the driver {driver}: pip install .*\[{url}\]$") as caught:
        [*SqlSource(url=url).items()]
    assert caught.value.code == "source_error"


def test_fields_of_forms() -> None:
    """A name in place of a list, and a query with its semicolon, are taken as they are meant."""
    source = SqlSource(url="postgresql://h/d", tables="orders")  # type: ignore[arg-type]  # as forms give it
    assert source.tables == ["orders"]
    assert SqlSource(url="postgresql://h/d", query=" SELECT 1 ; ").query == "SELECT 1"
    assert SqlSource(url="postgresql://h/d", password=SecretStr("x")).connector == ""


KEYS = st.tuples(st.text(max_size=5) | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=5))


@settings(max_examples=examples(40))
@given(st.lists(st.text(min_size=1), min_size=1, max_size=2), st.none() | KEYS, st.none() | KEYS)
def test_ids(table: list[str], after: Any, to: Any) -> None:
    """A slice is found again from its id alone, whatever its table's name and its keys are."""
    part = Slice(tuple(table), after, to)
    assert named(part.id).slice == part


@pytest.mark.parametrize("text", ["", "x", "[]", "7", "null", "{}", '{"table":7}', '{"table":["a"],"to":[{"hex":"g"}]}',
                                  '{"table":["a"],"to":7}'])  # fmt: skip
def test_ids_of_others(text: str) -> None:
    """What is no id of a slice is an item that is not found."""
    with pytest.raises(SourceError) as caught:
        named(text)
    assert caught.value.code == "not_found"


CELLS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=examples(60))
@given(st.lists(st.tuples(CELLS, CELLS, st.none() | st.binary(max_size=6)), max_size=6), st.integers(1, 3))
def test_rows(rows: list[tuple[str | None, str | None, bytes | None]], size: int) -> None:
    """Rows come out of Parquet as they went in, however they are divided into blocks."""
    columns = (
        Column("a", pa.string(), ""), Column("b", pa.string(), ""), Column("c", pa.binary(), "", is_hex=True),
    )  # fmt: skip
    shape = Shape(Table(("t",), "table", ""), columns, (), (), "", len(rows))
    encoder = Encoder(shape, "place")
    data = b""
    for start in range(0, len(rows), size):
        block = [line(row) for row in rows[start : start + size]]
        data += b"".join(encoder.add((len(block), b"".join(block))))
    data += b"".join(encoder.end())
    table = pq.read_table(io.BytesIO(data))
    assert [tuple(row.values()) for row in table.to_pylist()] == rows
