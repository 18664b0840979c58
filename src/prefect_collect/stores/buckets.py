"""The names of buckets: plain names, aliases, and the ARNs of access points."""

from __future__ import annotations

import re
from typing import Final

from prefect_collect.errors import InvalidLocation
from prefect_collect.stores.addresses import shown

_ARN: Final = "arn:"
_ACCESS_POINT: Final = re.compile(r"arn:aws[a-z-]*:s3:[a-z0-9-]+:\d{12}:accesspoint[:/][a-z0-9][a-z0-9-]{1,49}")
"""The ARN of an AWS access point: ``arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME``, as botocore accepts it."""

_BUCKET_ARN: Final = re.compile(r"arn:aws[a-z-]*:s3:::")
_NOT_SUPPORTED: Final = (
    (re.compile(r".*(--x-s3|--xa-s3)|arn:aws[a-z-]*:s3express:.*"), "an S3 Express directory bucket"),
    (re.compile(r".*--op-s3|arn:aws[a-z-]*:s3-outposts:.*"), "a bucket on S3 Outposts"),
    (re.compile(r".*--ol-s3|arn:aws[a-z-]*:s3-object-lambda:.*"), "an S3 Object Lambda access point, which changes "
     "what is stored"),
    (re.compile(r".*\.mrap|arn:aws[a-z-]*:s3::\d{12}:accesspoint.*"), "a multi-region access point, which takes "
     "another signature (SigV4A); name one of its buckets"),
    (re.compile(r"arn:aws[a-z-]*:s3tables:.*|.*--table-s3"), "a bucket of tables"),
)  # fmt: skip


def split_bucket(rest: str) -> tuple[str, str]:
    """Return the bucket, and the key or prefix, of the text after ``s3://``; the bucket may be an access point's ARN.

    ``arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/PREFIX`` gives the ARN and ``PREFIX``; ``arn:aws:s3:::BUCKET/PREFIX``,
    which names a bucket, gives ``BUCKET``.
    """
    if (named := _BUCKET_ARN.match(rest)) is not None:
        rest = rest[named.end() :]
    bucket, _, prefix = rest.partition("/")
    if bucket.startswith(_ARN) and bucket.endswith(":accesspoint"):
        name, _, prefix = prefix.partition("/")
        bucket = f"{bucket}/{name}"
    return bucket, prefix


def is_access_point(bucket: str) -> bool:
    """Return whether a bucket's name is the ARN of an access point."""
    return bucket.startswith(_ARN)


def region_of(bucket: str) -> str | None:
    """Return the region in an access point's ARN; None for a bucket's plain name."""
    return bucket.split(":")[3] if is_access_point(bucket) else None


def require_supported(bucket: str, field: str) -> None:
    """Raise InvalidLocation for an ARN or a kind of bucket that is not supported; the message names the kind."""
    if "@" in bucket or (":" in bucket and not is_access_point(bucket)):
        return  # Not a name at all: it may contain a password, and the callers that require a name refuse it.
    for pattern, what in _NOT_SUPPORTED:
        if pattern.fullmatch(bucket):
            raise InvalidLocation(f"{field} names {what}; that is not supported. [{field}=s3://{bucket}]")
    if is_access_point(bucket) and not _ACCESS_POINT.fullmatch(bucket):
        raise InvalidLocation(
            f"{field} must name a bucket, or the ARN of an access point: arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME. "
            f"[{field}={shown(bucket)}]"
        )
