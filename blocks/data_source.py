"""The base class of all data sources."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Final, Self, get_args

from prefect.types import SecretDict
from pydantic import Field, SecretStr, field_validator, model_validator

from prefect_collect.blocks._schema_once import SchemaOnce
from prefect_collect.blocks._settings import settings_text
from prefect_collect.codes import Failure
from prefect_collect.connectors.os_failures import os_failure
from prefect_collect.errors import InvalidLocation, SourceError
from prefect_collect.job_folder.folder import SOURCE_SETTINGS
from prefect_collect.parameters import checked_custodian
from prefect_collect.sources import MOST_AT_ONCE, Content, Item, Listed, Overlap, expected_bytes
from prefect_collect.sources.content_checks import require_sound, whole
from prefect_collect.statuses import LifecycleStatus
from prefect_collect.storable import require_storable
from prefect_collect.stores import Store
from prefect_collect.threads.pool import as_completed
from prefect_collect.threads.stop import current_stop

_SECRET_TYPES: Final = frozenset({SecretStr, SecretDict})

_NAME = re.compile(r"\w[\w .@+=,-]{0,99}")


@dataclass(frozen=True)
class SavedBlocks:
    """The saved blocks of Prefect that a field of a source takes.

    Attributes:
        types: The slugs of their types.
        by_name: The field takes the block's name; else it takes the block, and of a Secret block its value.
    """

    types: tuple[str, ...]
    by_name: bool = False


SECRETS: Final = SavedBlocks(("secret",))
"""Prefect's blocks of one secret."""


class DataSource(SchemaOnce, ABC):
    """The base class of data sources. Subclass it to collect from another kind of source; see docs/writing-a-source.md.

    A subclass implements the listing of its items (`items`), the opening of one item (`open`) and, if its library
    raises errors of its own, their meaning (`classify`). Everything else has a working default.

    Raises:
        InvalidLocation: A field cannot be used; the message names the field.
    """

    name: str = Field(
        default="",
        description=(
            "The source's name in messages and in the name of its Prefect concurrency limit: up to 100 letters, "
            "digits, spaces and .@+=,_-. If empty, it is made from the location."
        ),
    )
    lifecycle: LifecycleStatus = Field(
        default=LifecycleStatus.ACTIVE,
        description="ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.",
    )

    custodian: str = Field(
        default="",
        description="The person or department whose data it is, for jobs that name no other.",
    )

    @model_validator(mode="before")
    @classmethod
    def _check_storable(cls, fields: Any) -> Any:
        """Refuse a text that Prefect could not store when the block is saved; the error names the field."""
        require_storable(fields, "", InvalidLocation)
        return fields

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return checked_name(value)

    @field_validator("custodian")
    @classmethod
    def _check_custodian(cls, value: str) -> str:
        try:
            return checked_custodian(value) or ""
        except ValueError as error:
            raise InvalidLocation(f"{error} [custodian]") from error

    @model_validator(mode="after")
    def _fill_name(self) -> Any:
        if not self.name:
            self.name = short_name(self.location()) or "source"
        return self

    @classmethod
    def from_url(cls, url: str, **fields: Any) -> Self:
        """Return the source at a URL of the class's own scheme; by default its field `url` has the URL.

        Args:
            url: The URL, as a user writes it.
            fields: Other fields, such as `name`; only fields that the class has are given.
        """
        return cls.model_validate({"url": url, **fields})

    @classmethod
    def lacks(cls) -> str:
        """Return what this machine lacks for sources of this kind, and how to install it; "" if nothing."""
        return ""

    @classmethod
    def takes_saved(cls, url: str) -> Mapping[str, SavedBlocks]:
        """Return the saved blocks of Prefect that fill fields of a source at a URL, by the field.

        By default a Secret block fills each field of a secret. Override it for credentials of other types.
        """
        hints = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: SECRETS for name, hint in hints.items() if _SECRET_TYPES & {hint, *get_args(hint)}}

    def location(self) -> str:
        """Return the source's location as a user writes it, without secrets; by default the slug of its block type."""
        return type(self).get_block_type_slug()

    @abstractmethod
    def items(self) -> Iterator[Listed]:
        """Yield every item as the source lists it and, last, one `ListingEnd`.

        Yield the `ListingEnd` only if the source proved that the listing is complete (a last page that states it, a
        count that agrees, a file read to its last byte); raise in every other case. If a listing stops without it, or
        yields another number of items than it states, it fails with `enumeration_failed`, and the job is never
        Successfully completed. Exceptions of the source's library may be raised as they are.
        """

    @abstractmethod
    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open an item: its bytes, and what the source states about them now.

        Exceptions of the source's library may be raised as they are.
        """

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield an item as the source has it now, for a retry; by default the item without fields to compare.

        Override it if the source can state them. Yield nothing if the item is gone. For a folder that could not be
        listed, yield the items that are in it now, each with `expands` set, and last one `ListingEnd`; a single item
        needs no `ListingEnd`.
        """
        yield replace(item, size=None, modified=None, etag=None, version=None, skipped=None, failure=None, expands=None)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small items whole, up to `concurrency` at once; yield them in the order of arrival.

        Take the next item from `items` only when one of the concurrent reads has ended. Yield an item that cannot be
        read with its exception. By default it calls `open` in threads.
        """
        return as_completed(self._read_whole, items, concurrency, expected_bytes)

    def most_workers(self) -> int | None:
        """Return how many worker processes may read the source at once; None if there is no limit, 0 if it allows none.

        By default a source with a field `connections` needs one of them for the listing, and one for each worker.
        """
        limits = [value.most_workers() for _, value in self if isinstance(value, DataSource)]
        connections = getattr(self, "connections", None)
        limits.append(connections - 1 if isinstance(connections, int) else None)
        return min((limit for limit in limits if limit is not None), default=None)

    def for_worker(self, workers: int) -> Self:
        """Return the source for one of so many worker processes, with its share of what all may use of it at once.

        By default its field `connections`, if it has one, is divided; one connection is kept for the listing.
        """
        update: dict[str, Any] = {
            name: value.for_worker(workers) for name, value in self if isinstance(value, DataSource)
        }
        connections = getattr(self, "connections", None)
        if isinstance(connections, int):
            update["connections"] = max(1, (connections - 1) // workers)
        return self.model_copy(update=update) if update else self

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """Return what an exception means, for an item or (None) for the listing; None if it is not the source's.

        By default it handles `SourceError` and the operating system's errors.
        """
        if isinstance(error, SourceError):
            return Failure(error.code, str(error), error.http_status)
        if isinstance(error, OSError):
            return os_failure(error, self.place(item))
        return None

    def overlap(self, store: Store) -> Overlap | None:
        """Return what the source and a store have in common; by default nothing.

        Override it if a store can lie in the source, so that a job leaves out the items that it staged itself.
        """
        return None

    def place(self, item: Item | None = None) -> str:
        """Return the item's full location, or the source's, for the end of a message."""
        return self.location() if item is None else f"{self.location().rstrip('/')}/{item.path}"

    def _read_whole(self, item: Item) -> Content:
        chunks: list[bytes | memoryview] = []
        size, stop = 0, current_stop()
        with self.open(item) as content:
            require_sound(item, content)
            for chunk in content.chunks:
                stop.require_going()
                chunks.append(piece := whole(chunk))
                size += len(piece)
                if size > MOST_AT_ONCE:
                    raise SourceError(
                        f"More than {MOST_AT_ONCE} bytes arrived for an item that was listed as small. "
                        f"[{self.place(item)}]",
                        code="changed_during_read",
                    )
            if content.finish is not None:
                content.finish()
        return replace(content, chunks=chunks, finish=None)


def identity_of(source: DataSource) -> dict[str, Any]:
    """Return what distinguishes what a source lists from what others list: all its fields, without secrets."""
    fields = source.model_dump(mode="json", exclude={"name", "lifecycle", "custodian"})
    return {"type": source.get_block_type_slug(), "location": source.location(), "fields": fields}


def recorded_source(source: DataSource, block_id: str = "") -> dict[str, Any]:
    """Return a source as a job's record describes it (`JobRecord.source`), without secrets."""
    settings = settings_text(source)
    return {
        "name": source.name,
        "type": source.get_block_type_slug(),
        "location": source.location(),
        "block_id": block_id,
        **({SOURCE_SETTINGS: settings} if settings else {}),
    }


def checked_name(name: str) -> str:
    """Return the name. Raise InvalidLocation if it cannot be a data source's; "" can, as a name is then made."""
    if name and not _NAME.fullmatch(name):
        raise InvalidLocation(
            "name must be up to 100 letters, digits, spaces and .@+=,_- and begin with a letter or digit. "
            f"[name={name}]"
        )
    return name


def short_name(location: str) -> str:
    """Return a valid `DataSource.name` for a location: ``s3://bucket/a/b`` gives ``bucket-a-b``; "" if none is."""
    words = re.sub(r"[^\w.@+=,-]+", "-", location.split("://", 1)[-1]).strip("-.@+=,_ ")
    return words if len(words) <= 60 else words[-60:].lstrip("-.@+=,_ ")
