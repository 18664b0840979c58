"""The order of the tests: files that wait and files that compute alternate, so that parallel workers do both at once.

A file of tests leaves no server of Prefect configured: the next file in its process might show that server's jobs.

The examples of property tests have no deadline, as their times depend on the load of the machine.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain, groupby, zip_longest
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from hypothesis import settings

from tests import collected
from tests.examples import EXPLORE, QUICK, examples

settings.register_profile("tests", deadline=None, max_examples=examples(100), derandomize=not EXPLORE)
settings.load_profile("tests")

_MEMORY: Final = Path("/dev/shm")
_ENOUGH: Final = 8 << 30
"""The free memory of which the folders of the tests take a part; on a disk, half of their time goes to fsync(2)."""


def _use_memory() -> None:
    """Have the tests' folders in memory, if there is enough; in a quick run, which writes little, also other files."""
    if _MEMORY.is_mount() and shutil.disk_usage(_MEMORY).free > _ENOUGH < psutil.virtual_memory().available:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
        if QUICK:
            os.environ.setdefault("TMPDIR", str(_MEMORY))


_use_memory()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Have the processes of a parallel run be forks of one that has collected the tests."""
    python = collected.python_for_workers(config.invocation_params.args)
    for spec in specs:
        spec.python = python


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Give files to the processes of a parallel run in the order below."""
    from tests.support.scheduling import Scheduling  # only a parallel run needs it

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Have searches for garbage be rarer, and leave out the tests and what they import: they are here until the end."""
    gc.freeze()
    gc.set_threshold(100_000)


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
            present = read.get_current_settings().api.url
            assert present == _configured(_of_prefect(), _profiles()), "these tests leave Prefect's settings changed"
    return result


def _of_prefect() -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in os.environ.items() if name.startswith("PREFECT_"))


def _profiles() -> tuple[int, ...]:
    """Return what tells that the file of Prefect's profiles was written: its time and size; () if there is none."""
    try:
        found = os.stat(os.environ["PREFECT_HOME"] + "/profiles.toml")
    except (KeyError, OSError):
        return ()
    return found.st_mtime_ns, found.st_size


@cache  # reading Prefect's settings takes 20 ms
def _configured(variables: frozenset[tuple[str, str]], profiles: tuple[int, ...]) -> str | None:
    """Return the server that Prefect reads anew from its files and these variables, which this process has."""
    url: str | None = sys.modules["prefect.settings"].Settings().api.url
    return url


_WAIT: Final = ["served", "restarting", "deployments", "ui", "cli", "jobs"]
_ROOT: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take a file of tests that wait for Prefect and one of the others by turns; those that wait longest come first.

    The first ones are not mixed with others: two processes of the tests run them, each over one server (`Scheduling`).
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
