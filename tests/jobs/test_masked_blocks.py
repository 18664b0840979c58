"""What is made of saved blocks whose secrets Prefect's server masks, and what is said of those that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.types import SecretDict
from prefect.utilities.names import obfuscate
from prefect_aws import MinIOCredentials
from pydantic import BaseModel, SecretStr, ValidationError

from prefect_collect.blocks import HttpListSource, MboxSource, ObjectStoreSource
from prefect_collect.jobs._masked_blocks import unreadable, without_masks

MASK = obfuscate("any secret")


class Needy(BaseModel):
    """A class that cannot do without its secret."""

    token: SecretStr
    more: SecretDict | None = None
    inner: list[str] = []


@pytest.mark.parametrize(
    ("kind", "data", "kept"),
    [
        (HttpListSource, {"url": "u", "headers": MASK, "url_query": MASK}, {"url": "u"}),
        (HttpListSource, {"headers": {"h": {"X": MASK}}}, {"headers": {"h": {"X": MASK}}}),
        (ObjectStoreSource, {"url": "gs://b", "secret": MASK}, {"url": "gs://b"}),
        (MboxSource, {"inside": {"url": "gs://b", "secret": MASK}}, {"inside": {"url": "gs://b"}}),
        (
            ObjectStoreSource,
            {"credentials": {"minio_root_user": "u", "minio_root_password": MASK, "aws_secret_access_key": MASK}},
            {"credentials": {"minio_root_user": "u", "minio_root_password": MASK}},
        ),
        (MinIOCredentials, {"minio_root_password": MASK, "other": MASK}, {"minio_root_password": MASK, "other": MASK}),
        (Needy, {"token": MASK, "more": MASK, "inner": [MASK]}, {"token": MASK, "inner": [MASK]}),
    ],
)
def test_masks_are_no_values(kind: type[BaseModel], data: dict[str, Any], kept: dict[str, Any]) -> None:
    """A mask is left out where the secret may be, of blocks within blocks too; all else stays."""
    assert without_masks(kind, data) == kept


def test_what_is_wrong_is_named() -> None:
    """The fields are named, and neither a value, nor an address of pydantic, nor a line break is said."""
    with pytest.raises(ValidationError) as caught:
        Needy.model_validate({"more": "hush", "inner": 5})
    said = unreadable(caught.value)
    assert said.startswith(
        "The block cannot be read; correct its fields in Prefect, or save it again: token is missing; "
    )
    assert "more is not valid: Input should be a valid dictionary; inner is not valid: " in said
    assert not any(word in said for word in ("hush", "http", "\n", "\\n", "input_value"))
    assert unreadable(ValueError("two\nlines")).endswith(": two lines")
