"""What it means when Prefect's server cannot be talked to, or refuses what it is asked: errors of our own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from prefect_collect.runs.refusals import prefect_errors

P = ParamSpec("P")
R = TypeVar("R")


def mapped(call: Callable[P, R]) -> Callable[P, R]:
    """The same function, that raises PrefectUnavailable and PrefectError where Prefect's client raises its own."""

    @wraps(call)
    def calling(*args: P.args, **kwargs: P.kwargs) -> R:
        with prefect_errors():
            return call(*args, **kwargs)

    return calling
