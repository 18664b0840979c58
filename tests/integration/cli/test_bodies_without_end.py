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

_PATIENCE = 120
"""Seconds: the body has no end."""

_PAUSE = 0.2
"""Seconds between two bytes: too short for the connection to be given up as silent."""


def drip(asked: list[str], key: str, honest: Reply) -> Reply:
    """Return the body of an object, byte by byte, without its length."""
    asked.append(key)
    return replace(honest, body=b"", forever=b"x", pause=_PAUSE)


def test_ctrl_c_while_a_body_drips(command: Command, tmp_path: Path) -> None:
    """Ctrl-C, pressed once, ends the command; the other bodies that drip, of large objects and of pages of the
    listing, are canceled in `connectors.test_canceling_reads`.
    """
    asked: list[str] = []
    with HostileStore({"small": b"x" * 1000}) as store:
        store.getting = partial(drip, asked)
        process = command.start(
            "collect", "s3://bucket/", "--endpoint-url", store.url, "--anonymous", "--store", tmp_path / "staging"
        )
        until(lambda: asked or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=_PATIENCE)
    assert (process.returncode, "Canceled" in out + err) == (5, True), (out, err)
