"""A store in a bucket of Google Cloud Storage."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, ClassVar

from prefect_collect.errors import StoreError
from prefect_collect.stores._cloud import CloudStore
from prefect_collect.stores._gcs_bucket import GcsBucket
from prefect_collect.stores._gcs_errors import google_errors
from prefect_collect.stores._gcs_upload import PARTS, GcsUpload, parts_of
from prefect_collect.stores._objects import PartUpload
from prefect_collect.stores.gcs_access import GcsAccess


class GcsStore(CloudStore):
    """A store below ``gs://bucket/prefix``; nothing is sent before its first use.

    Args:
        bucket: The bucket's name.
        prefix: The prefix of all keys.
        access: The credentials; by default those of the environment.
        endpoint_url: The server's address, if it is not Google's.

    Raises:
        InvalidLocation: The bucket, the prefix or the address cannot be used.
    """

    scheme: ClassVar[str] = "gs"
    names: ClassVar[re.Pattern[str]] = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
    hidden: ClassVar[frozenset[str]] = CloudStore.hidden | {PARTS}

    def __init__(
        self, bucket: str, prefix: str = "", *, access: GcsAccess | None = None, endpoint_url: str | None = None
    ) -> None:
        super().__init__(bucket, prefix, endpoint_url=endpoint_url)
        self._access = access or GcsAccess()
        self._bucket = GcsBucket(bucket, self.prefix, self._access, endpoint_url)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the store with the credentials that it was given; without any, the other process uses its own."""
        return _remade, (self.bucket, self.prefix, self._access, self.endpoint_url)

    @property
    def _requests(self) -> GcsBucket:
        return self._bucket

    def _begin(self, key: str) -> PartUpload:
        return GcsUpload(self._bucket, key)

    def _signed(self, key: str, seconds: int) -> str:
        blob = self._bucket.blob(self._bucket.key(key))
        try:
            with google_errors(self.locate(key)):
                link = blob.generate_signed_url(
                    version="v4", expiration=timedelta(seconds=seconds), api_access_endpoint=self.endpoint
                )
        except (AttributeError, TypeError) as error:  # what the library raises for credentials without a key
            raise StoreError(
                f"Only the key of a service account can sign links, and the credentials have none [{self.locate(key)}]"
            ) from error
        return str(link)

    def _remove_leftovers(self, prefix: str) -> None:
        start = f"{PARTS}/{prefix}" if prefix.endswith("/") else parts_of(self._bucket, prefix)[len(self.folder) :]
        self._remove_all([blob.key for blob in self._bucket.listed(start)])


def _remade(bucket: str, prefix: str, access: GcsAccess, endpoint_url: str | None) -> GcsStore:
    """Return the store that `GcsStore.__reduce__` pickled."""
    return GcsStore(bucket, prefix, access=access, endpoint_url=endpoint_url)
