"""The tables of a database, collected by the command through Prefect from their URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Done
from tests.integration.databases import postgres_database
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration


def test_a_url(prefect_server: PrefectServer, here: Callable[..., Done], tmp_path: Path) -> None:
    """A URL names the tables, and the query chooses among them; a password in the URL is shown and kept nowhere."""
    database = postgres_database()
    database.run("CREATE TABLE a (id integer PRIMARY KEY)", "CREATE TABLE b (id integer)", "INSERT INTO a VALUES (1)")
    url = database.url.replace("prefect@", "prefect:hush-hush-hush@")
    tested = here("sources", "test", url, "--json")
    assert tested.code == 0, tested.err
    assert (tested.json["location"], tested.json["items"], tested.json["is_whole"]) == (database.url, 4, True)
    done = here("collect", url, "--include", "public/a/*", "--store", tmp_path / "store", "--json")
    assert done.code == 0, done.err
    assert (done.json["found"], done.json["succeeded"]) == (2, 2)
    refused = here("collect", f"{url}/more", "--store", tmp_path / "store")
    assert refused.code != 0
    shown = "".join(one.out + one.err for one in (tested, done, refused)).encode()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hush-hush" not in shown + written + prefect_server.stored()
