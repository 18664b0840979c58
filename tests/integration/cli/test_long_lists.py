"""Globs that come from files, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Done

pytestmark = pytest.mark.integration

MANY = 5000
"""Patterns in a file."""


def test_lists_from_files(here: Callable[..., Done], files: Callable[..., Path], tmp_path: Path) -> None:
    """Globs of several files and options add up, for collections and drafts, and `show` stays short.

    There are more than fit into a parameter of Prefect; `jobs.test_long_queries` has a hundred thousand.
    """
    root, store = files(a=b"a", b=b"b", c=b"c", d=b"d"), ("--store", tmp_path / "store")
    (tmp_path / "many").write_text("# what is wanted\n\nb\n" + "".join(f"none/{n:06}\n" for n in range(MANY)))
    (tmp_path / "more").write_bytes(b"\xef\xbb\xbfc\r\nd\r\n")
    (tmp_path / "not").write_text("d\n")
    lists = ("--include", "a", "--include-from", tmp_path / "many", "--include-from", tmp_path / "more")
    done = here("collect", root, *lists, "--exclude-from", tmp_path / "not", *store, "--json")
    assert (done.code, done.err, done.json["succeeded"]) == (0, "", 3)
    shown = here("show", done.json["job_id"], *store)
    assert (f"and {MANY - 6:,} more" in " ".join(shown.out.split()), len(shown.out) < 4000) == (True, True), shown
    draft = here("draft", root, *store, "--json").json["job_id"]
    edited = here("edit", draft, *lists, *store)
    assert (edited.code, edited.err) == (0, "")
    assert here("start", draft, *store, "--json").json["succeeded"] == 4
    (tmp_path / "bad").write_text("a\nb[\n")
    refused = here("collect", root, "--include-from", tmp_path / "bad", *store)
    assert (refused.code, refused.out, "Line 2" in refused.error) == (2, "", True), refused
