"""What the blocks of sources at servers share: fields, secrets, and the connection that does their work."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Annotated, Final, Protocol

from pydantic import BeforeValidator, Field, SecretStr

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.errors import InvalidLocation
from prefect_collect.sources import Content, Item, Listed
from prefect_collect.stores.addresses import shown

ConnectTimeout = Annotated[float, Field(gt=0, description="Seconds to wait for a connection.")]
ReadTimeout = Annotated[float, Field(gt=0, description="Seconds without data after which a read fails.")]

EMPTY_IS_NONE: Final = BeforeValidator(lambda value: value or None)
"""Makes None of what a form gives for a field that is left empty."""


def secret_of(given: SecretStr | None, variable: str) -> str | None:
    """Return the secret of a field, else that of an environment variable; None if there is none.

    Args:
        given: The field.
        variable: The variable's name; "" for none.
    """
    if given is not None:
        return given.get_secret_value()
    return os.environ.get(variable) or None if variable else None


def password_refused(url: str, variable: str) -> InvalidLocation:
    """Return the error of a URL that contains a password; the message names the environment variable for it."""
    return InvalidLocation(
        "url must not contain a password, which would be stored and shown with the job; give it as password, or in the "
        f"environment as {variable}. [url={shown(url)}]"
    )


class Connected(Protocol):
    """A connection that does the work of a source."""

    def items(self) -> Iterator[Listed]: ...

    def relist(self, item: Item) -> Iterator[Listed]: ...

    def open(self, item: Item) -> AbstractContextManager[Content]: ...

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]: ...


class ConnectedSource(DataSource, ABC):
    """The base class of sources whose work a connection does, which all such blocks of a process share."""

    url: str

    @abstractmethod
    def _connection(self) -> Connected:
        """Return the connection for the block's settings. Raise SourceError."""

    def location(self) -> str:
        """Return the URL."""
        return self.url

    def items(self) -> Iterator[Listed]:
        """Yield the items in the server's order, and the listing's end. Raise SourceError, OSError."""
        return self._connection().items()

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield the item as it is now; of a folder, the items that are in it now and the listing's end."""
        return self._connection().relist(item)

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open an item of any size. Raise SourceError."""
        return self._connection().open(item)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small items whole, up to `concurrency` at once."""
        return self._connection().read_many(items, concurrency)
