"""What is known of saved blocks without a server, from the database that one would use."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from prefect_collect.runs import prefect_settings
from prefect_collect.runs.saved_names import may_be_saved
from tests.integration.migrated import put_database


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Prefect's home, whose database has a block ``docs``; no server is configured."""
    for name in ("PREFECT_API_URL", "PREFECT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    # The settings as a command reads them, which has not imported Prefect.
    monkeypatch.setattr(
        prefect_settings, "known_without_prefect", lambda: prefect_settings.PlainSettings(tmp_path, server=None)
    )
    put_database(tmp_path)
    with closing(sqlite3.connect(tmp_path / "prefect.db")) as database, database:
        columns = {row[1]: f"'{row[2]}'" for row in database.execute("PRAGMA table_info(block_document)") if row[3]}
        columns["name"] = "'docs'"
        database.execute(f"INSERT INTO block_document ({', '.join(columns)}) VALUES ({', '.join(columns.values())})")
    return tmp_path


def test_names_in_the_database(home: Path) -> None:
    """A name that the database of the server to be has may be a saved block's, by itself and with a type; another one
    is not, also where a block's name could not be that, or nothing was ever saved. A database that cannot be read is
    no proof.
    """
    assert [may_be_saved(name) for name in ("docs", "file-source/docs", "dosc", "file-source/dosc")] == [
        True, True, False, False,
    ]  # fmt: skip
    (home / "prefect.db").write_bytes(b"not a database")
    assert may_be_saved("dosc")
    assert not any(map(may_be_saved, ("Docs", "my_docs", "a.pst", "x/Docs", "")))
    (home / "prefect.db").unlink()
    assert not may_be_saved("docs")


@pytest.mark.parametrize("named", ["dosc", "mbox:dosc"])
def test_a_mistyped_folder_is_refused_without_a_server(named: str, home: Path) -> None:
    """A command that names a source which is not there says so, and starts no server first, nor has Prefect start one;
    also if what is meant lies inside the source.
    """
    command = [sys.executable, "-m", "prefect_collect", "sources", "test", named]
    done = subprocess.run(command, capture_output=True, text=True, cwd=home)
    assert done.returncode == 2
    assert "no data source is saved by that name in Prefect" in done.stderr
    assert "server" not in done.stderr
    assert not (home / "memo_store.toml").exists()
