"""The fields that several blocks share, with their validators."""

from __future__ import annotations

from typing import Annotated, Final

from prefect_aws import AwsCredentials, MinIOCredentials
from pydantic import AfterValidator, BeforeValidator, Field

from prefect_collect.stores.addresses import check_endpoint


def _minio_credentials(value: object) -> object:
    """Validate MinIO's credentials as such: AwsCredentials requires no field, so it would accept any dictionary."""
    if isinstance(value, dict) and "minio_root_user" in value:
        return MinIOCredentials.model_validate(value)
    return value


def _checked(value: str | None) -> str | None:
    """Return an address without a trailing "/"; None for a field that a form leaves empty."""
    if not value:
        return None
    check_endpoint(value)
    return value.rstrip("/")


Credentials = Annotated[
    AwsCredentials | MinIOCredentials | None,
    BeforeValidator(_minio_credentials),
    Field(repr=False),  # the repr of AwsCredentials contains its session token
]
"""The credentials for S3, of the kind that was given or saved; not part of a block's repr."""

CREDENTIALS_SLUGS: Final = ("aws-credentials", "minio-credentials")
"""The types of the saved credentials blocks for S3."""

EndpointUrl = Annotated[str | None, AfterValidator(_checked)]
"""A server's address. Raise InvalidLocation, whose message contains no password."""
