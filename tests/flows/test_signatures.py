"""The signature and the help of a job flow in Python."""

from __future__ import annotations

import inspect
import pydoc
from typing import Any, get_type_hints

import pytest

from prefect_collect.flows import collect, export


@pytest.mark.parametrize("flow", [collect, export])
def test_a_signature_is_the_functions(flow: Any) -> None:
    """`inspect.signature` returns the function's parameters, with plain types and defaults."""
    signature, hints = inspect.signature(flow), get_type_hints(flow.fn)
    own = inspect.signature(flow.fn).parameters
    assert {name: one.annotation for name, one in signature.parameters.items()} | {
        "return": signature.return_annotation
    } == hints
    assert [one.default for one in signature.parameters.values()] == [one.default for one in own.values()]


@pytest.mark.parametrize(("flow", "says"), [(collect, "tries: int = 5, concurrency: int = 128"), (export, "format: ")])
def test_help_is_for_people(flow: Any, says: str) -> None:
    """`help` shows the type of each parameter, as for any function, and nothing of the form in Prefect's UI."""
    shown = pydoc.render_doc(flow, renderer=pydoc.plaintext)  # type: ignore[attr-defined]  # typeshed leaves it out
    assert says in " ".join(shown.split())
    assert "FieldInfo(" not in shown
    assert "JsonSchema" not in shown
