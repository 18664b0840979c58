"""Settings of S3 requests from the user's AWS configuration, and hints in the errors of wrong settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from prefect_collect.stores.buckets import is_access_point

if TYPE_CHECKING:
    import boto3

Style = Literal["auto", "path", "virtual"]
_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn")

_HOST: Final = "addressing_style = virtual under s3 in ~/.aws/config"
_PATH: Final = "addressing_style = path under s3 in ~/.aws/config"
_HOST_CODES: Final = {"NoSuchBucket", "SecondLevelDomainForbidden", "PermanentRedirect", "InvalidBucketName"}
"""Error codes of servers that accept buckets only in the host name, for a bucket in the path (the second is of
Alibaba's OSS)."""

_HINT: Final = "prefect_collect_hint"
_WHOLE: Final = {"ListObjectsV2", "HeadBucket", "PutObject"}
"""The requests that are sent first to a bucket."""

_PAYER: Final = "x-amz-request-payer"


def configured_style(session: boto3.session.Session, bucket: str) -> Style | None:
    """Return whether the profile puts buckets into the host name or the path (``s3`` in ~/.aws/config).

    Return None if the profile does not set it. An access point's name always goes into the host name.
    """
    if is_access_point(bucket):
        return "virtual"
    style = s3_section(session).get("addressing_style")
    return style if style in ("path", "virtual") else None


def s3_section(session: boto3.session.Session) -> dict[str, Any]:
    """Return the ``s3`` section of the session's profile."""
    section = session._session.get_config_variable("s3")
    return section if isinstance(section, dict) else {}


def is_aws(endpoint_url: str) -> bool:
    """Return whether the address is one of AWS."""
    return (urlsplit(endpoint_url).hostname or "").endswith(_AWS)


def explain(client: Any, bucket: str, *, request_payer: bool) -> None:
    """Add a hint to the errors of a client's first requests to a bucket; `hint_of` returns it.

    Args:
        client: The boto3 client.
        bucket: Its bucket.
        request_payer: The requests already state that the requester pays.
    """
    hint = hints_of(client, bucket, request_payer=request_payer)

    def answered(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        status = parsed.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 300 and model.name in _WHOLE:
            code = str(parsed.get("Error", {}).get("Code", ""))
            parsed[_HINT] = hint(code, status)

    def unreachable(exception: Exception, **_: Any) -> None:
        setattr(exception, _HINT, hint("", 0))

    client.meta.events.register("after-call.s3", answered, unique_id="prefect-collect-answered")
    client.meta.events.register("after-call-error.s3", unreachable, unique_id="prefect-collect-unreachable")


def hints_of(client: Any, bucket: str, *, request_payer: bool) -> Callable[[str, int], str]:
    """Return a function of error code and status (0: no answer) that returns what the user may have to set, or "".

    Args:
        client: The boto3 client, whose address and addressing style the requests have.
        bucket: Its bucket.
        request_payer: The requests already state that the requester pays.
    """
    endpoint = str(client.meta.endpoint_url)
    style = (client.meta.config.s3 or {}).get("addressing_style", "")
    if is_access_point(bucket) and not is_aws(endpoint):
        return lambda code, status: ""
    return lambda code, status: _hint(endpoint, style, code, status, request_payer=request_payer)


def hint_of(error: Exception) -> str:
    """Return "; " and the hint that `explain` added to a client's error, or "" if there is none."""
    response = getattr(error, "response", None)
    hint = response.get(_HINT) if isinstance(response, dict) else getattr(error, _HINT, "")
    return f"; {hint}" if hint else ""


def _hint(endpoint: str, style: str, code: str, status: int, *, request_payer: bool) -> str:
    if is_aws(endpoint):
        may_pay = status == 403 and code in ("", "AccessDenied", "403") and not request_payer
        return "if the bucket has requesters pay, set request_payer (--request-payer)" if may_pay else ""
    if style == "virtual":
        unknown = not status or status in (400, 404)
        return f"the bucket was sent in the host name; if the server expects it in the path, set {_PATH}" * unknown
    if code in _HOST_CODES or status in (301, 400, 405):
        return f"if the server accepts buckets only in the host name, set {_HOST}"
    return ""


def pay_for_requests(client: Any) -> None:
    """Add to every request of the client, signed, that the requester pays for it."""
    client.meta.events.register("before-call.s3", _pay, unique_id="prefect-collect-payer")


def _pay(params: dict[str, Any], **_: Any) -> None:
    params["headers"][_PAYER] = "requester"
