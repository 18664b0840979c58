"""A folder on an SFTP server, collected by the command through Prefect: as a saved block, and by its URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_collect import SftpSource
from tests.integration.cli.conftest import Done
from tests.integration.prefect_server import PrefectServer
from tests.integration.sftp import SftpServer

pytestmark = pytest.mark.integration


def test_a_saved_source(
    sftp_server: SftpServer,
    prefect_server: PrefectServer,
    here: Callable[..., Done],
    files: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """A saved source keeps its key as a secret; what could not be read is retried, and the package holds all."""
    root = files(a=b"aa", b=b"bb")
    (root / "later").symlink_to("gone")
    with prefect_server.used():
        block = SftpSource(name="sftp", **sftp_server.access(root, follow_symlinks=True))
        block.save("sftp", overwrite=True)
    store = ("--store", tmp_path / "store", "--json")
    first = here("collect", "sftp-source/sftp", *store)
    assert first.code == 3, first.err
    assert (first.json["found"], first.json["succeeded"], first.json["failed"]) == (3, 2, 1)
    assert "PRIVATE KEY" not in first.out + first.err
    (root / "gone").write_text("here again")
    again = here("retry", first.json["job_id"], *store)
    assert again.code == 0, again.err
    exported = here("export", first.json["job_id"], "--to", tmp_path / "out", *store)
    assert exported.code == 0, exported.err
    assert here("verify", exported.json["package"]).code == 0
    for path in (tmp_path / "store").rglob("*.json"):
        assert "PRIVATE KEY" not in path.read_text()


def test_a_host_that_is_not_known(sftp_server: SftpServer, here: Callable[..., Done], tmp_path: Path) -> None:
    """By its URL alone, a server whose host key is in no known_hosts fails the job with the line to add."""
    done = here("collect", sftp_server.url(tmp_path), "--store", tmp_path / "store")
    assert done.code != 0
    assert "add this line" in done.out + done.err
    assert sftp_server.known_hosts.split()[-1] in done.out + done.err
