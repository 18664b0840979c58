"""The pages of a store's listing, each checked to be one: botocore accepts any document as an empty page.

If a listing left out a part of the ledger, its items would be missing from the job's account. The listings of data
sources have a reader of their own (`connectors.buckets.s3_page`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.errors import StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST_EMPTY_PAGES: Final = 10_000
"""Consecutive empty pages, each with a new token, after which a listing counts as making no progress."""


def pages(client: S3Client, bucket: str, prefix: str, place: str, **options: str) -> Iterator[dict[str, Any]]:
    """Yield the pages of ListObjectsV2, as boto3 returns them, up to the one that states that it is the last.

    Raises:
        StoreUnavailable: An answer is no such page, contradicts itself, or leads back to an earlier one; the message
            ends in `[place]`. Exceptions of boto3 pass through.
    """
    token: str | None = None
    seen: set[object] = set()
    empty = 0
    while True:
        more = {} if token is None else {"ContinuationToken": token}
        try:
            page: dict[str, Any] = client.list_objects_v2(Bucket=bucket, Prefix=prefix, **options, **more)  # type: ignore[arg-type, assignment]
        except ValueError as error:  # botocore lets ValueErrors of Python's int and datetime through
            raise _wrong(f"it cannot be read ({error})", place) from error
        names = _names_of(page, prefix, place)
        yield page
        if not page["IsTruncated"]:
            return
        token = page.get("NextContinuationToken")
        if not token:
            raise _wrong("it says that the listing continues, but not where (NextContinuationToken)", place)
        if token in seen:
            raise _wrong("it leads back to an earlier one (NextContinuationToken)", place)
        empty = 0 if names else empty + 1
        if (names and hash(names) in seen) or empty > MOST_EMPTY_PAGES:
            raise _wrong("it says that there is more, but has nothing new", place)
        seen |= {token, hash(names)} if names else {token}


def _names_of(page: dict[str, Any], prefix: str, place: str) -> tuple[str, ...]:
    """Return the keys and the folders that a page names. Raise StoreUnavailable if it is no page of the listing."""
    entries, folders = page.get("Contents", []), page.get("CommonPrefixes", [])
    if "IsTruncated" not in page:
        raise _wrong("it does not say whether it is the last one (IsTruncated)", place)
    found = len(entries) + len(folders)
    if page.get("KeyCount", found) != found:
        raise _wrong(f"it states {page['KeyCount']} keys (KeyCount) and names {found}", place)
    if any("Size" not in entry for entry in entries):
        raise _wrong("it names an object without its size", place)
    names = (*(entry.get("Key", "") for entry in entries), *(entry.get("Prefix", "") for entry in folders))
    if not all(name.startswith(prefix) for name in names):
        raise _wrong("it names an object outside of the prefix", place)
    return names


def _wrong(what: str, place: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"The S3 server's answer is no whole page of a listing: {what}; check what answers at its address [{place}]"
    )
