"""A server that sends byte by byte and never ends: Ctrl-C ends the command, and the job is Canceled."""

from __future__ import annotations

import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Command, until
from tests.integration.hostile import HostileStore, Reply

pytestmark = pytest.mark.integration

_PATIENCE = 10
"""Seconds in which Ctrl-C ends a command, as docs/deploy.md says."""

_PAUSE = 0.2
"""Seconds between two bytes: too short for the connection to be given up as silent."""


def drip(asked: list[str], key: str, honest: Reply) -> Reply:
    """Return the body of an object, byte by byte, without its length."""
    asked.append(key)
    return replace(honest, body=b"", forever=b"x", pause=_PAUSE)


def endless_page(asked: list[str], number: int, query: dict[str, str]) -> Reply:
    """Return a page of the listing that continues with spaces without end."""
    asked.append("page")
    return Reply(b"<?xml version='1.0'?>", forever=b" ", pause=_PAUSE)


SIZES = {"small": 1000, "large": 3 << 20}


@pytest.mark.parametrize("what", [*SIZES, "page"])
def test_ctrl_c_while_a_body_drips(command: Command, tmp_path: Path, what: str) -> None:
    """The body is of a small object, received among others, of a large object, or of a page of the listing."""
    asked: list[str] = []
    with HostileStore({what: b"x" * SIZES.get(what, 0)}) as store:
        if what == "page":
            store.listing = partial(endless_page, asked)
        else:
            store.getting = partial(drip, asked)
        process = command.start(
            "collect", "s3://bucket/", "--endpoint-url", store.url, "--anonymous", "--store", tmp_path / "staging"
        )
        until(lambda: what in asked or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=_PATIENCE)
    assert (process.returncode, "Canceled" in out + err) == (5, True), (out, err)
