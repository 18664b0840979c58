"""A console, and one below a path."""

from __future__ import annotations

import pytest

from prefect_collect.console.guard import Guard, Place
from tests.console.guarded import made


@pytest.fixture(scope="module")
def app() -> Guard:
    """A console; it limits those who show wrong tokens by their address."""
    return made()


@pytest.fixture(scope="module")
def below() -> Guard:
    """A console below a path."""
    return made(Place(frozenset({"console.test"}), "/console"))
