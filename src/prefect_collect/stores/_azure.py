"""A store in a container of Azure Blob Storage."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from azure.storage.blob import generate_blob_sas

from prefect_collect.errors import StoreError
from prefect_collect.stores._azure_bucket import AzureBucket
from prefect_collect.stores._azure_upload import AzureUpload
from prefect_collect.stores._cloud import CloudStore
from prefect_collect.stores._objects import PartUpload
from prefect_collect.stores.azure_access import AzureAccess


class AzureStore(CloudStore):
    """A store below ``az://container/prefix``; nothing is sent before its first use.

    Args:
        bucket: The container's name.
        prefix: The prefix of all keys.
        access: The account and its credentials; by default those of the environment.
        endpoint_url: The account's address, if it is not Azure's own for the account.

    Raises:
        InvalidLocation: The container, the prefix or the address cannot be used.
    """

    scheme: ClassVar[str] = "az"
    names: ClassVar[re.Pattern[str]] = re.compile(r"(?!.*--)[$a-z0-9][a-z0-9-]{1,61}[a-z0-9]")

    def __init__(
        self, bucket: str, prefix: str = "", *, access: AzureAccess | None = None, endpoint_url: str | None = None
    ) -> None:
        super().__init__(bucket, prefix, endpoint_url=endpoint_url)
        self._access = access or AzureAccess()
        self._bucket = AzureBucket(bucket, self.prefix, self._access, endpoint_url)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the store with the credentials that it was given; without any, the other process uses its own."""
        return _remade, (self.bucket, self.prefix, self._access, self.endpoint_url)

    @property
    def _requests(self) -> AzureBucket:
        return self._bucket

    def _begin(self, key: str) -> PartUpload:
        return AzureUpload(self._bucket, key)

    def _signed(self, key: str, seconds: int) -> str:
        access = self._bucket.access
        if access.account_key is None:
            raise StoreError(
                f"Only the account's key can sign links, and the credentials have none [{self.locate(key)}]"
            )
        signature = generate_blob_sas(
            access.account,
            self.bucket,
            self._bucket.key(key),
            account_key=access.account_key,
            permission="r",
            expiry=datetime.now(UTC) + timedelta(seconds=seconds),
        )
        return f"{self._bucket.blob(key).url}?{signature}"

    def _remove_leftovers(self, prefix: str) -> None:
        """Leave blocks that were not committed to Azure, which removes them after a week."""


def _remade(bucket: str, prefix: str, access: AzureAccess, endpoint_url: str | None) -> AzureStore:
    """Return the store that `AzureStore.__reduce__` pickled."""
    return AzureStore(bucket, prefix, access=access, endpoint_url=endpoint_url)
