"""A list of URLs, collected by the command through Prefect: by its URL, and as a saved block."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_collect import HttpListSource
from tests.integration.cli.conftest import Done
from tests.integration.http_files import File, http_files
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration


def test_a_list(prefect_server: PrefectServer, here: Callable[..., Done], tmp_path: Path) -> None:
    """A list is collected with its names and hashes; local addresses only if allowed; its headers are secrets."""
    path, store = tmp_path / "list.jsonl", ("--store", tmp_path / "store", "--json")
    with http_files() as server:
        line = {"url": server.put("a", b"aa"), "name": "letters/a.txt", "sha256": hashlib.sha256(b"aa").hexdigest()}
        path.write_text(f"{json.dumps(line)}\nnonsense\n")
        refused = here("collect", f"urls://{path}", *store)
        assert refused.code != 0
        assert refused.json["succeeded"] == 0
        report = here("report", refused.json["job_id"], "--store", tmp_path / "store")
        assert "address_refused" in report.out
        job = refused.json["job_id"]
        assert here("retry", job, *store).json["succeeded"] == 0
        allowed = here("retry", job, "--allow-private", *store)
        assert (allowed.code, allowed.json["succeeded"], allowed.json["attempt"]) == (3, 1, 3)
        asked = [json.loads(each.read_text()) for each in (tmp_path / "store" / job / "custody").glob("*.json")]
        settings = [each["details"] for each in asked if each["action"] == "retry-requested"]
        assert here("show", job, *store).json["source_settings"] == {"allow_private": True}
        assert sorted(settings, key=len) == [{}, {"settings": {"allow_private": True}}]
        unbounded = here("retry", job, "--concurrency", "0", *store)
        assert (unbounded.code, "'--concurrency'" in unbounded.err) == (2, True)
        server.token = "hush"
        with prefect_server.used():
            headers = {"127.0.0.1": {"Authorization": "Bearer hush"}}
            block = HttpListSource.model_validate(
                {"name": "urls", "url": f"urls://{path}", "headers": headers, "allow_private": True}
            )
            block.save("urls", overwrite=True)
        first = here("collect", "http-list-source/urls", *store)
        assert first.code == 3, first.err
        assert (first.json["found"], first.json["succeeded"], first.json["failed"]) == (2, 1, 1)
        assert "hush" not in first.out + first.err
        own = here("retry", first.json["job_id"], "--allow-private", *store)
        assert (own.code, "set its field allow_private in Prefect" in own.err) == (2, True)
        for file in (tmp_path / "store").rglob("*"):
            assert not file.is_file() or b"hush" not in file.read_bytes()
        tested = here("sources", "test", f"urls://{path}", "--allow-private")
        assert tested.code == 0, tested.err
        assert "letters/a.txt" in tested.out
        untested = here("sources", "test", f"urls://{path}")
        assert "A collection takes 0 items" in untested.out
        assert "address_refused" in untested.out


def test_a_list_that_a_query_opens(prefect_server: PrefectServer, here: Callable[..., Done], tmp_path: Path) -> None:
    """The query of a list's address, which may be a token, is sent, and shown and kept nowhere in clear."""
    with http_files() as server:
        line = {"url": server.put("a", b"aa")}
        server.files["/list.jsonl?token=hush-hush-hush"] = File(json.dumps(line).encode(), None, None)
        url = f"urls+{server.url}/list.jsonl?token=hush-hush-hush"
        tested = here("sources", "test", url, "--allow-private", "--json")
        assert tested.code == 0, tested.err
        assert (tested.json["location"], tested.json["items"]) == (f"urls+{server.url}/list.jsonl", 1)
        done = here("collect", url, "--allow-private", "--store", tmp_path / "store", "--json")
        assert done.code == 0, done.err
        assert done.json["succeeded"] == 1
    shown = "".join(one.out + one.err for one in (tested, done)).encode()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hush-hush" not in shown + written + prefect_server.stored()
