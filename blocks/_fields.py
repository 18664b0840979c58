"""Fields and validators that blocks share."""

from __future__ import annotations

from typing import Annotated

from prefect_aws import AwsCredentials, MinIOCredentials
from pydantic import AfterValidator, BeforeValidator, Field

from prefect_collect.stores.addresses import check_endpoint


def _tell_apart(value: object) -> object:
    """AwsCredentials, which comes first and needs no field, would take any dictionary and drop what it holds."""
    if isinstance(value, dict) and "minio_root_user" in value:
        return MinIOCredentials.model_validate(value)
    return value


def _checked(value: str | None) -> str | None:
    """An address without "/" at its end; what a form leaves empty is None."""
    if not value:
        return None
    check_endpoint(value)
    return value.rstrip("/")


Credentials = Annotated[
    AwsCredentials | MinIOCredentials | None,
    BeforeValidator(_tell_apart),
    Field(repr=False),  # AwsCredentials shows its session token.
]
"""Credentials for S3, of the kind that was given or saved; never shown."""

EndpointUrl = Annotated[str | None, AfterValidator(_checked)]
"""A server's address. Raises InvalidLocation, which shows no password."""
