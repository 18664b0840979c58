"""Making boto3 clients for stores."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from prefect_collect.errors import InvalidLocation
from prefect_collect.stores._s3_errors import s3_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MAKING = threading.Lock()  # boto3 sessions are not thread-safe; clients are


def check_endpoint(endpoint_url: str | None) -> None:
    """Raise InvalidLocation unless it is an http(s) address without user and password (or None)."""
    if endpoint_url is None:
        return
    parts = urlsplit(endpoint_url)
    if "@" in parts.netloc:
        raise InvalidLocation(
            "An S3 server's address must hold no user or password; use a credentials block or AWS_* variables "
            f"[endpoint_url={parts.scheme}://…@{parts.hostname}]"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not _has_port(parts) or parts.query:
        raise InvalidLocation(f"An S3 server's address is http(s)://host[:port] [endpoint_url={endpoint_url}]")


def _has_port(parts: SplitResult) -> bool:
    """Whether the port is one, or is left out."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def make_client(
    session: boto3.session.Session | None, endpoint_url: str | None, parameters: dict[str, Any], location: str
) -> S3Client:
    """An S3 client, to be shared between threads. `parameters` are those of `Session.client` and win over ours.

    Checksums are only added where S3 requires them: over http every body is signed, over https uploads carry an MD5
    (see `Bucket.integrity`), and what is staged has its SHA-256 in the manifest. Servers other than AWS are asked
    with the bucket in the path.
    """
    options = dict(parameters)
    given = options.pop("config", None)
    if endpoint_url is not None:
        options["endpoint_url"] = endpoint_url
        options.pop("use_ssl", None)
    with _MAKING:
        try:
            session = session or boto3.session.Session()
            client: S3Client = session.client("s3", config=_config(given, "auto"), **options)
            if not (urlsplit(client.meta.endpoint_url).hostname or "").endswith(
                (".amazonaws.com", ".amazonaws.com.cn")
            ):
                client = session.client("s3", config=_config(given, "path"), **options)
        except BotoCoreError as error:
            raise s3_error(error, location) from error
        except ValueError as error:
            raise InvalidLocation(f"The S3 server's address or options cannot be used: {error} [{location}]") from error
    return client


def access_key(session: boto3.session.Session | None) -> str | None:
    """Which keys a session signs with."""
    try:
        credentials = (session or boto3.session.Session()).get_credentials()
        return credentials.access_key if credentials else None
    except BotoCoreError:
        return None


def _config(given: Config | None, addressing: Literal["auto", "path"]) -> Config:
    ours = Config(
        signature_version="s3v4",
        connect_timeout=10,
        read_timeout=120,
        max_pool_connections=64,
        tcp_keepalive=True,
        retries={"mode": "standard", "total_max_attempts": 5},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": addressing},
    )
    return ours if given is None else ours.merge(given)
