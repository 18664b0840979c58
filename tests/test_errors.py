"""The error tree: every class is drawn in the module's docstring, and documented."""

from __future__ import annotations

import inspect
import pickle
import re
from typing import cast

import pytest

from prefect_collect import errors
from prefect_collect.errors import (
    CollectError,
    JobInterrupted,
    PrefectUnavailable,
    SourceError,
    StoreUnavailable,
    TransientSourceError,
)

CLASSES: list[type[CollectError]] = [
    cast("type[CollectError]", found)
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, BaseException) and found.__module__ == errors.__name__ and found is not JobInterrupted
]


def _drawn() -> dict[str, tuple[str | None, bool]]:
    """Return the tree in the module's docstring: the parent of each class, and whether it is marked transient."""
    tree: dict[str, tuple[str | None, bool]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    ([│├└─ ]*)(\w+)(.*)$", line)
        if found:
            depth = len(found[1]) // 4
            del above[depth:]
            tree[found[2]] = (above[-1] if above else None, found[3].endswith("(transient)"))
            above.append(found[2])
    return tree


def test_the_drawn_tree_is_the_class_tree() -> None:
    """The tree at the top of the module shows every class under its parent, and marks exactly the transient ones."""
    real = {
        found.__name__: (None if found is CollectError else found.__bases__[0].__name__, found.transient)
        for found in CLASSES
    }
    assert _drawn() == real


def test_the_drawing_says_what_each_is() -> None:
    """Every class in the drawn tree, except the root, has a short explanation."""
    lines = [line for line in (errors.__doc__ or "").splitlines() if "──" in line]
    assert len(lines) == len(CLASSES) - 1
    assert all(re.search(r"── \w+ {2,}\S+", line) for line in lines)


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_is_documented_and_one_of_ours(error: type[CollectError]) -> None:
    """Each class has a docstring of its own and one parent, and descends from CollectError."""
    assert issubclass(error, CollectError)
    assert len(error.__bases__) == 1
    assert (error.__dict__["__doc__"] or "").rstrip().endswith(".")


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_errors_cross_processes(error: type[CollectError]) -> None:
    """An error keeps its class, message, code and status when it is pickled, as a task runner does between machines."""
    made = SourceError("It broke. [a]", code="throttled", http_status=503) if error is SourceError else error("No. [a]")
    back = pickle.loads(pickle.dumps(made))
    assert type(back) is error
    assert str(back) == str(made)
    assert vars(back) == vars(made)


def test_transient_is_inherited_by_nothing_else() -> None:
    """Exactly the errors that may pass without any change by a user are transient."""
    assert [found for found in CLASSES if found.transient] == [
        PrefectUnavailable,
        StoreUnavailable,
        TransientSourceError,
    ]


def test_an_interrupt_is_no_error_of_the_tree() -> None:
    """A program that catches all errors still ends by Ctrl-C; the interrupt crosses processes with its job's id."""
    assert issubclass(JobInterrupted, KeyboardInterrupt)
    copy = pickle.loads(pickle.dumps(JobInterrupted("why", "1f2e")))
    assert (str(copy), copy.job_id) == ("why", "1f2e")
