"""boto3 sessions from Prefect's credentials blocks, or from the environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

from prefect_collect.errors import UsageError

if TYPE_CHECKING:
    import boto3


class Credentials(Protocol):
    """What a connection uses of a credentials block: prefect-aws has `AwsCredentials` and `MinIOCredentials`."""

    @property
    def region_name(self) -> str | None:
        """The region, if the block names one."""

    @property
    def aws_client_parameters(self) -> Any:
        """The block's "AWS Client Parameters"."""

    def get_boto3_session(self) -> Any:
        """Return a boto3 session with the block's keys and region."""

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """Return a copy with other fields."""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield the fields, each with its value."""


def session_from(credentials: Credentials | None, region: str | None = None) -> boto3.session.Session:
    """Return a boto3 session with the block's keys and region.

    Args:
        credentials: The block; None for boto3's own chain (environment, files, role).
        region: Replaces the region of the block or the environment.

    Raises:
        UsageError: The block names a profile that this machine does not have.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        if credentials is None:
            return boto3.session.Session(region_name=region)
        if region is not None and region != credentials.region_name:
            credentials = credentials.model_copy(update={"region_name": region})
        session: boto3.session.Session = credentials.get_boto3_session()
    except BotoCoreError as error:
        raise UsageError(f"The credentials cannot be used here: {error} [credentials={_name(credentials)}]") from error
    return session


def asks_for_codes(credentials: Credentials | None) -> bool:
    """Return whether a terminal asks for the code of a device (``mfa_serial``), once in each process that reads.

    Raises:
        UsageError: The block names a profile that this machine does not have.
    """
    import botocore.session
    from botocore.exceptions import BotoCoreError

    session = session_from(credentials)
    try:
        keys = session.get_credentials()
        if keys is None or keys.method != "assume-role":
            return False
        return "mfa_serial" in botocore.session.Session(profile=session.profile_name).get_scoped_config()
    except BotoCoreError:
        return False


def client_parameters(credentials: Credentials | None) -> dict[str, Any]:
    """Return the block's "AWS Client Parameters" as arguments of boto3's `Session.client`: endpoint_url, verify, …"""
    if credentials is None:
        return {}
    parameters: dict[str, Any] = credentials.aws_client_parameters.get_params_override()
    return parameters


def _name(credentials: Credentials | None) -> str:
    """Return the block's name for a message, never its fields."""
    if credentials is None:
        return "environment"
    return getattr(credentials, "_block_document_name", None) or type(credentials).__name__
