"""The checks by Prefect's server of the texts in a form."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import is_valid_schema, validate
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from prefect_collect.flows.forms import form_signature


class Group(BaseModel):
    """A group of a form."""

    labels: list[str] | dict[str, str] = []


def job(
    plain: str,
    secret: SecretStr,
    several: list[str | int] | dict[str, str],
    pair: tuple[str, int],
    group: Group,
    kind: Literal["text", "none"] = "text",
) -> None:
    """A flow's function."""


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Return the schema that Prefect makes from the flow's signature."""
    job.__signature__ = form_signature(job)  # type: ignore[attr-defined]
    assert inspect.signature(job).parameters["plain"].default.default is PydanticUndefined
    made = parameter_schema(job).model_dump()
    is_valid_schema(made)
    return made


SOUND: dict[str, Any] = {
    "plain": "a", "secret": "a", "several": ["a"], "pair": ["a", 1], "group": {"labels": ["a"]}, "kind": "none",
}  # fmt: skip


def made_of(value: Any, text: str) -> Any:
    """Return the value with that text in place of each "a"."""
    if isinstance(value, dict):
        return {name: made_of(one, text) for name, one in value.items()}
    if isinstance(value, list):
        return [made_of(one, text) for one in value]
    return text if value == "a" else value


@pytest.mark.parametrize("name", [name for name in SOUND if name != "kind"])
def test_no_text_holds_a_nul(schema: dict[str, Any], name: str) -> None:
    """The server refuses a NUL in a text, a secret, a list, alternatives and a group, and accepts other texts."""
    for value in (SOUND[name], {"x": "a"} if name == "several" else SOUND[name]):
        assert validate(SOUND | {name: made_of(value, "Ünïcode 😀\n")}, schema) == []
        assert validate(SOUND | {name: made_of(value, "a\0b")}, schema) != []
