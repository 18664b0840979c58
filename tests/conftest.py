"""The order of the tests: files that wait and files that compute alternate, so that parallel workers do both at once.

A file of tests leaves no server of Prefect configured: the next file in its process might show that server's jobs.

The examples of property tests have no deadline, as their times depend on the load of the machine.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from itertools import chain, groupby, zip_longest
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def heeding_interrupts() -> Iterator[None]:
    """Let SIGINT interrupt this process, also if the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


_SERVER: Final = os.environ.get("PREFECT_API_URL")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Have the last test of a file fail if the file leaves a server of Prefect configured."""
    result = yield
    if nextitem is None or nextitem.path != item.path:
        assert os.environ.get("PREFECT_API_URL") == _SERVER, "these tests leave PREFECT_API_URL changed"
        if read := sys.modules.get("prefect.settings"):
            present, expected = read.get_current_settings().api.url, read.Settings().api.url
            assert present == expected, "these tests leave Prefect's settings changed"
    return result


_WAIT: Final = ["served", "restarting", "deployments", "ui", "cli", "jobs"]
_ROOT: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take a file of tests that wait for Prefect and one of the others by turns; those that wait longest come first.

    The first ones are not mixed with others, so that the files that a process of the tests runs share a server.
    """
    items.sort(key=lambda item: _rank(item.path))
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    first = [tests for tests in files if _rank(tests[0].path) == 0]
    waiting = [tests for tests in files if 0 < _rank(tests[0].path) < len(_WAIT)]
    computing = [tests for tests in files if _rank(tests[0].path) == len(_WAIT)]
    mixed = chain.from_iterable(zip_longest(waiting, computing, fillvalue=[]))
    items[:] = chain.from_iterable(chain(first, mixed))


def _rank(path: Path) -> int:
    parts = path.relative_to(_ROOT).parts
    ours = parts[0] == "integration" and parts[1] in _WAIT
    return _WAIT.index(parts[1]) if ours else len(_WAIT)
