"""The loop of HTTP transfers."""

from __future__ import annotations

import select
from pathlib import Path
from typing import Any

import pycurl
import pytest

from prefect_collect.connectors.http.engine import Limits, Loop, new_handle


def test_a_transfer_that_ends_while_it_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transfer that ended before there was anything to wait for, as one of a file does, is given without a wait."""
    waits: list[float] = []

    class Epoll:
        def __init__(self) -> None:
            self._epoll = real()

        def poll(self, seconds: float) -> list[tuple[int, int]]:
            waits.append(seconds)
            return []

        def __getattr__(self, name: str) -> Any:
            return getattr(self._epoll, name)

    real = select.epoll
    monkeypatch.setattr(select, "epoll", Epoll)
    (tmp_path / "file").write_bytes(b"content")
    loop, got = Loop(), list[bytes]()
    for _ in range(2):
        handle = new_handle(Limits(5, 5, None), 1 << 16)
        handle.setopt(pycurl.URL, f"file://{tmp_path}/file")
        handle.setopt(pycurl.WRITEFUNCTION, got.append)
        loop.add(handle)
        loop.kick()
        assert [*loop.step(30.0)] == [(handle, None)]
        loop.remove(handle)
    loop.close()
    assert b"".join(got) == b"content" * 2
    assert not waits
