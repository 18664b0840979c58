"""A folder on a WebDAV server, collected by the command through Prefect: as a saved block, and by its URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_collect import WebDavSource
from tests.integration.cli.conftest import Done
from tests.integration.prefect_server import PrefectServer
from tests.integration.webdav import PASSWORD, webdav

pytestmark = pytest.mark.integration


def test_a_saved_source(
    prefect_server: PrefectServer, here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path
) -> None:
    """A saved source keeps its password as a secret; the package of what was collected is verified."""
    root = files(a=b"aa", b=b"bb")
    with webdav(root, auth="basic") as server:
        with prefect_server.used():
            block = WebDavSource.model_validate({"name": "webdav", "url": server.url(), "password": PASSWORD})
            block.save("webdav", overwrite=True)
        store = ("--store", tmp_path / "store", "--json")
        done = here("collect", "webdav-source/webdav", *store)
        assert done.code == 0, done.err
        assert (done.json["found"], done.json["succeeded"]) == (2, 2)
        assert PASSWORD not in done.out + done.err
        exported = here("export", done.json["job_id"], "--to", tmp_path / "out", *store)
        assert exported.code == 0, exported.err
        assert here("verify", exported.json["package"]).code == 0
        for path in (tmp_path / "store").rglob("*.json"):
            assert PASSWORD not in path.read_text()
        refused = here("collect", server.url(), "--store", tmp_path / "store")
        assert refused.code != 0
        assert "bad_credentials" in refused.out + refused.err
