"""The decorator that turns errors of Prefect's client into errors of this package."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from prefect_collect.errors import CollectError

P = ParamSpec("P")
R = TypeVar("R")


def mapped(call: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that it raises PrefectUnavailable or PrefectError in place of an error of Prefect's client."""

    @wraps(call)
    def calling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except CollectError:
            raise
        except Exception:
            if "prefect" not in sys.modules:  # then it is no error of Prefect, whose import takes a second
                raise
            from prefect_collect.runs.refusals import prefect_errors

            with prefect_errors():
                raise

    return calling
