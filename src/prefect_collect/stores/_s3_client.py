"""The boto3 clients of S3 stores, made once for the same settings."""

from __future__ import annotations

import hashlib
import os
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import boto3
import botocore
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError

from prefect_collect.errors import InvalidLocation
from prefect_collect.stores._s3_errors import s3_error
from prefect_collect.stores.addresses import shown
from prefect_collect.stores.buckets import is_access_point
from prefect_collect.stores.s3_settings import Style, configured_style, explain, is_aws, pay_for_requests, s3_section
from prefect_collect.threads.abandoned import current_fence

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHANGES: Final = (
    "PutObject", "CreateMultipartUpload", "CompleteMultipartUpload", "AbortMultipartUpload", "DeleteObject",
    "DeleteObjects",
)  # fmt: skip

_HEEDED: Final = (
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""Environment variables, besides those of credentials, that a client depends on."""

_USER_AGENT: Final = f"prefect-collect Boto3/{boto3.__version__} Botocore/{botocore.__version__}"
"""botocore puts its own together again for each request, which takes a seventh of the CPU of a small one."""

_MAKING: Final = threading.Lock()  # boto3 sessions are not thread-safe; clients are
_MADE: Final[dict[str, S3Client]] = {}  # a new one takes 50 ms, and a kept one has open connections


def make_client(
    session: boto3.session.Session | None,
    endpoint_url: str | None,
    parameters: dict[str, Any],
    location: str,
    *,
    bucket: str = "",
    request_payer: bool = False,
) -> S3Client:
    """Return an S3 client that threads may share.

    Checksums are added only where S3 requires them: over http every body is signed, over https uploads carry an MD5
    (see `Bucket.integrity`), and staged items have their SHA-256 in the manifest. Servers other than AWS get the bucket
    in the path, unless the profile has an `addressing_style`. Each request that changes something first checks the
    `current_fence`.

    Args:
        session: The credentials; None for those of the environment.
        endpoint_url: The address of an S3 server other than AWS.
        parameters: Further arguments of boto3's `Session.client`; they take precedence.
        location: The store's URL, named in errors.
        bucket: The bucket that the client is for.
        request_payer: Every request states that the requester pays for it.

    Raises:
        InvalidLocation: The address or the parameters cannot be used.
        StoreError: boto3 cannot make a client, as when the profile is missing.
    """
    options = dict(parameters)
    given = options.pop("config", None)
    if endpoint_url is not None:
        options["endpoint_url"] = endpoint_url
        options.pop("use_ssl", None)
    with _MAKING:
        try:
            session = session or _session_of_environment()
            style = configured_style(session, bucket)
            how = style, request_payer, is_access_point(bucket), sorted(s3_section(session).items())
            known = _fingerprint(session, options, given, how)
            if known not in _MADE:
                _MADE[known] = _heeding_fences(_made(session, options, given, style))
                explain(_MADE[known], bucket, request_payer=request_payer)
                if request_payer:
                    pay_for_requests(_MADE[known])
            return _MADE[known]
        except BotoCoreError as error:
            raise s3_error(error, location) from error
        except ValueError as error:
            why = shown(str(error))  # not chained: boto3's error contains the whole address, perhaps with a password
            raise InvalidLocation(f"The S3 server's address or options cannot be used: {why} [{location}]") from None


def _session_of_environment() -> boto3.session.Session:
    return _session_of(tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))))


@lru_cache(maxsize=4)
def _session_of(_: tuple[tuple[str, str], ...]) -> boto3.session.Session:
    return boto3.session.Session()


def _made(
    session: boto3.session.Session, options: dict[str, Any], given: Config | None, style: Style | None
) -> S3Client:
    client: S3Client = session.client("s3", config=_config(given, style or "auto"), **options)
    if style is not None or is_aws(client.meta.endpoint_url):
        return client
    return session.client("s3", config=_config(given, "path"), **options)


def _heeding_fences(client: S3Client) -> S3Client:
    """Return the client so changed that it checks the fence: boto may repeat a request after its work was abandoned."""
    for operation in _CHANGES:
        client.meta.events.register(f"before-send.s3.{operation}", _look)
    return client


def _look(**_: Any) -> None:
    current_fence().require_open()


def _fingerprint(session: boto3.session.Session, options: dict[str, Any], given: Config | None, how: object) -> str:
    """Return a hash of all that a client depends on: clients with the same hash are interchangeable.

    It is a hash because keys are part of it. Keys that are renewed (roles, single sign-on) are represented by their
    method.
    """
    keys = session.get_credentials()
    who = (keys.access_key, keys.secret_key, keys.token) if type(keys) is Credentials else getattr(keys, "method", None)
    environment = [os.environ.get(name) for name in _HEEDED]
    config = sorted(vars(given).get("_user_provided_options", {}).items()) if given else []
    what = (who, session.profile_name, session.region_name, sorted(options.items()), config, environment, how)
    return hashlib.sha256(repr(what).encode()).hexdigest()


def session_fields(session: boto3.session.Session | None) -> dict[str, str] | None:
    """Return the arguments that make the same session in another process; None for the environment's session there.

    They contain the keys, which are secrets, if the session was given keys; roles and files are read again there.
    """
    if session is None:
        return None
    keys = session.get_credentials()
    fields: dict[str, str | None] = {"region_name": session.region_name}
    if keys is not None and keys.method == "explicit":
        fields |= {
            "aws_access_key_id": keys.access_key,
            "aws_secret_access_key": keys.secret_key,
            "aws_session_token": keys.token,
        }
    elif session.profile_name != "default":
        fields["profile_name"] = session.profile_name
    return {name: value for name, value in fields.items() if value is not None}


def session_of(fields: dict[str, str]) -> boto3.session.Session:
    """Return the session that `session_fields` described."""
    return boto3.session.Session(**fields)  # type: ignore[arg-type]


def access_key(session: boto3.session.Session | None) -> str | None:
    """Return the access key that a session signs with; None if it has none."""
    try:
        credentials = (session or _session_of_environment()).get_credentials()
        return credentials.access_key if credentials else None
    except BotoCoreError:
        return None


def _config(given: Config | None, addressing: Style) -> Config:
    ours = Config(
        signature_version="s3v4",
        user_agent=_USER_AGENT,
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
