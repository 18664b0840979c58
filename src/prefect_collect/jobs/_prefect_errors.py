"""The decorator that turns errors of Prefect's client into errors of this package."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from prefect_collect.runs.refusals import prefect_errors

P = ParamSpec("P")
R = TypeVar("R")


def mapped(call: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that it raises PrefectUnavailable or PrefectError in place of an error of Prefect's client."""

    @wraps(call)
    def calling(*args: P.args, **kwargs: P.kwargs) -> R:
        with prefect_errors():
            return call(*args, **kwargs)

    return calling
