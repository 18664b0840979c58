"""The block of mbox files as a data source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from pydantic import HttpUrl

from prefect_collect.blocks._inside import InsideSource
from prefect_collect.blocks.logos import Logo
from prefect_collect.sources import Content, Item, Listed
from prefect_collect.sources.query import Query


class MboxSource(InsideSource):
    """The messages of mbox files: of one file, or of all files of a folder or bucket.

    An item is a message, byte for byte as it stands in the file; its id is its place there, and its path is ``file/N
    subject.eml``. Senders, recipients, date, subject and attachments' names are the item's metadata in the manifest. A
    line of a body that begins with From ends no message. Files that are no mbox files are collected as they are.

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        custodian: The person or department whose data it is, for jobs that name no other.
        inside: The file, or the folder or bucket with the files: a source of files, or its path or URL.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import MboxSource

        source = MboxSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "Mbox Source"
    _block_type_slug = "mbox-source"
    _logo_url: ClassVar[Any] = Logo(
        "mbox-source.png",
        "https://cdn.sanity.io/images/3ugk85nk/production/82bc6ed16ca42a2252a5512c72233a253b8a58eb-250x250.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")
    scheme: ClassVar[str] = "mbox"

    def items_for(self, query: Query | None) -> Iterator[Listed]:
        """Yield the messages, file by file, and the proof that these are all. Raise SourceError, OSError."""
        from prefect_collect.connectors.mbox.items import mbox_items

        return mbox_items(self._tree(), query)

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield the message if it is at its place; of a file that could not be read, the messages in it."""
        from prefect_collect.connectors.mbox.reading import message_again

        return message_again(self._tree(), item)

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open a message of any size; its bytes are streamed. Raise SourceError, OSError."""
        from prefect_collect.connectors.mbox.reading import opened

        return opened(self._tree(), item)
