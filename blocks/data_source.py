"""The base that every data source is written on."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from prefect.blocks.core import Block
from pydantic import Field, field_validator, model_validator

from prefect_collect.codes import Failure
from prefect_collect.connectors.os_failures import os_failure
from prefect_collect.errors import InvalidLocation, SourceError
from prefect_collect.sources import MOST_AT_ONCE, Content, Item, Listed
from prefect_collect.sources.item_checks import require_sound, whole
from prefect_collect.sources.overlaps import Overlap
from prefect_collect.statuses import LifecycleStatus
from prefect_collect.storable import require_storable
from prefect_collect.stores import Store
from prefect_collect.threads.pool import as_completed
from prefect_collect.threads.stop import current_stop

_NAME = re.compile(r"\w[\w .@+=,-]{0,99}")


class DataSource(Block, ABC):
    """Where data is collected from. Subclass it to collect from a place of your own; see docs/writing-a-source.md.

    A subclass says how to stream its items (`items`) and how to read one (`open`), and, if its library raises
    errors of its own, what those mean (`classify`). Everything else has a working default.

    Raises:
        InvalidLocation: a field names no usable place; the message names the field.
    """

    name: str = Field(
        default="",
        description=(
            "Names the source to people and in Prefect's concurrency limits: up to 100 letters, digits, spaces "
            "and .@+=,_-. Left empty, it is made from the location."
        ),
    )
    lifecycle: LifecycleStatus = Field(
        default=LifecycleStatus.ACTIVE,
        description="ACTIVE, or SUSPENDED or ARCHIVED: then no job is started on it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _check_storable(cls, fields: Any) -> Any:
        """Refuse, by its field, a text that Prefect could not keep when the block is saved."""
        require_storable(fields, "", InvalidLocation)
        return fields

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return checked_name(value)

    @model_validator(mode="after")
    def _fill_name(self) -> Any:
        if not self.name:
            self.name = short_name(self.location()) or "source"
        return self

    def location(self) -> str:
        """Where the source is, as a user would write it, without secrets; by default the kind of block."""
        return type(self).get_block_type_slug()

    @abstractmethod
    def items(self) -> Iterator[Listed]:
        """Every item, streamed as the source lists it, and last one `ListingEnd`.

        Yield the `ListingEnd` only where the source proved that nothing more comes (a last page that says so, a count
        that agrees, a file read to its last byte); raise for anything else. A listing that stops without it, or states
        another number of items than it gave, fails as `enumeration_failed`: the job is then never Successfully
        completed. Raises whatever the source's library does.
        """

    @abstractmethod
    def open(self, item: Item) -> AbstractContextManager[Content]:
        """The item's bytes and what the source says of them now. Raises whatever the source's library does."""

    def relist(self, item: Item) -> Iterator[Listed]:
        """What the source says of an item now, for a retry; by default the item, with nothing left to check.

        Override it where the source can say more: gives nothing if the item is gone. A folder that is listed again
        gives what is in it, each with `expands` set, and last a `ListingEnd`; one item needs none.
        """
        yield replace(item, size=None, modified=None, etag=None, version=None, skipped=None, failure=None, expands=None)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small items whole, up to `concurrency` at once, as they arrive; by default `open` in threads.

        Takes from `items` only as places get free; an item that cannot be read comes with the exception.
        """
        return as_completed(self._read_whole, items, concurrency)

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """What an exception means, for that item or (None) for listing; None if it is not the source's.

        By default knows `SourceError` and the operating system's errors.
        """
        if isinstance(error, SourceError):
            return Failure(error.code, str(error), error.http_status)
        if isinstance(error, OSError):
            return os_failure(error, self.place(item))
        return None

    def overlap(self, store: Store) -> Overlap | None:
        """What the source and a store have in common; by default nothing.

        Override it where a store can lie in the source, so that a job leaves out what it stages itself.
        """
        return None

    def place(self, item: Item | None = None) -> str:
        """The item's whole location, or the source's, for the end of a message."""
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
                        f"More than {MOST_AT_ONCE} bytes arrived of an item that was listed as a small one. "
                        f"[{self.place(item)}]",
                        code="changed_during_read",
                    )
            if content.finish is not None:
                content.finish()
        return replace(content, chunks=chunks, finish=None)


def checked_name(name: str) -> str:
    """Return the name. Raises InvalidLocation if no data source can be called so; "" can, as it is made then."""
    if name and not _NAME.fullmatch(name):
        raise InvalidLocation(
            "name must be up to 100 letters, digits, spaces and .@+=,_- and begin with a letter or digit. "
            f"[name={name}]"
        )
    return name


def short_name(location: str) -> str:
    """A usable `DataSource.name` for a location: ``s3://bucket/a/b`` gives ``bucket-a-b``; "" if there is none."""
    words = re.sub(r"[^\w.@+=,-]+", "-", location.split("://", 1)[-1]).strip("-.@+=,_ ")
    return words if len(words) <= 60 else words[-60:].lstrip("-.@+=,_ ")
