"""The block of a list of URLs as a data source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from prefect.types import SecretDict
from pydantic import Field, HttpUrl, SecretStr, field_validator, model_validator

from prefect_collect.blocks._connected import EMPTY_IS_NONE, ConnectedSource, ConnectTimeout, ReadTimeout
from prefect_collect.blocks.data_source import SavedBlocks
from prefect_collect.blocks.logos import Logo
from prefect_collect.connectors.http.addresses import checked_url
from prefect_collect.connectors.url_list.entries import BadLine, header_lines
from prefect_collect.errors import InvalidLocation
from prefect_collect.sources import Item
from prefect_collect.stores.addresses import SOURCE_URLS, is_signed, shown

if TYPE_CHECKING:
    from prefect_collect.connectors.url_list.connection import Connection

_FILE: Final = "urls://"
_WEB: Final = ("urls+https://", "urls+http://")


class HttpListSource(ConnectedSource):
    """What a list of URLs leads to, by HTTP; each URL is an item.

    The list is a file of JSON Lines, here or on a server: each line an object with ``url`` and, as far as known,
    ``name`` (the item's path), ``sha256`` and ``size``, with which what arrives is compared, and ``headers`` that the
    URL's server needs. A line that is wrong is an item that failed, with the line's number.

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        custodian: The person or department whose data it is, for jobs that name no other.
        url: The list: ``urls:///path/list.jsonl``, a file on each machine that works for the job, or
            ``urls+https://host/list.jsonl``. The query of its address becomes the field `url_query`.
        url_query: The query with which the list is asked for, such as ``token=…``; it is shown nowhere.
        headers: Headers for servers, by their names: ``{"files.example.org": {"Authorization": "Bearer …"}}``. They are
            sent to these servers alone, also after a redirect.
        look_first: Ask for the size, time and ETag of each URL (by HEAD) while the list is read. An incremental job
            needs them.
        allow_private: Allow URLs and redirects to private, loopback and link-local addresses.
        ca_file: A file of the certificates that are trusted, if a server's is of an authority of your own.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without data after which a read fails.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import HttpListSource

        source = HttpListSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "HTTP List Source"
    _block_type_slug = "http-list-source"
    _logo_url: ClassVar[Any] = Logo(
        "http-list-source.png",
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/"
        "assets/block-logos/filesystem.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    url: str = Field(
        title="URL",
        description=(
            f"The list of URLs, as JSON Lines: {SOURCE_URLS['urls']} for a file, or urls+https://host/list.jsonl."
        ),
    )
    url_query: SecretStr | None = Field(
        default=None,
        title="URL Query",
        description="The query with which the list is asked for, such as token=…; it is shown nowhere.",
    )
    headers: Annotated[SecretDict | None, EMPTY_IS_NONE] = Field(
        default=None,
        description='Headers for servers, by their names: {"files.example.org": {"Authorization": "Bearer …"}}.',
    )
    look_first: bool = Field(
        default=True,
        description="Ask for the size, time and ETag of each URL while the list is read.",
    )
    allow_private: bool = Field(
        default=False,
        description="Allow URLs and redirects to private, loopback and link-local addresses.",
    )
    ca_file: Annotated[Path | None, EMPTY_IS_NONE] = Field(
        default=None,
        title="CA File",
        description="A file of the certificates that are trusted, for servers of an authority of your own.",
    )
    connect_timeout: ConnectTimeout = 20.0
    read_timeout: ReadTimeout = 60.0

    @model_validator(mode="before")
    @classmethod
    def _take_query(cls, fields: Any) -> Any:
        """Take the query of the URL into its field, before anything else is made of the URL, such as the name."""
        if not isinstance(fields, dict) or not isinstance(fields.get("url"), str):
            return fields
        given = fields.get("url_query")
        given = given.get_secret_value() if isinstance(given, SecretStr) else given
        given = given.removeprefix("?") if isinstance(given, str) else given
        url, query = fields["url"], ""
        if url.startswith(_WEB):
            url, _, query = url.partition("#")[0].partition("?")
        if is_signed(f"{url}?{query}?{given}"):
            raise InvalidLocation(
                "url contains a signature (a presigned URL or a SAS token), which expires while jobs still need the "
                "list; download the list and give it as urls:///path/list.jsonl, or open it by headers or a token. "
                f"[url={shown(url)}]"
            )
        if query and given and query != given:
            raise InvalidLocation(f"url_query is in the URL too; leave one of them out. [url={shown(url)}]")
        return {**fields, "url": url, "url_query": query or given or None}

    @classmethod
    def takes_saved(cls, url: str) -> Mapping[str, SavedBlocks]:
        """Return the saved blocks that fill fields; a list that is a file has no query."""
        return {
            field: blocks
            for field, blocks in super().takes_saved(url).items()
            if field != "url_query" or url.startswith(_WEB)
        }

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if value.startswith(_WEB):
            try:
                checked_url(value.removeprefix("urls+"))
            except ValueError as error:
                raise InvalidLocation(f"url {error}. [url={shown(value)}]") from None
        elif not value.startswith(f"{_FILE}/") or value.endswith("/") or "\0" in value:
            raise InvalidLocation(
                f"url must be {SOURCE_URLS['urls']} for a file, or urls+https://host/list.jsonl. [url={shown(value)}]"
            )
        return value

    @model_validator(mode="after")
    def _check_query(self) -> Any:
        """Refuse a query of a file, and one that no request can have."""
        if self.url_query is not None:
            if not self.url.startswith(_WEB):
                raise InvalidLocation(f"url_query goes with a list at a server only. [url={shown(self.url)}]")
            try:
                checked_url(self._list_url())
            except ValueError as error:
                raise InvalidLocation(f"url_query makes a URL that {error}. [url={shown(self.url)}]") from None
        return self

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, value: SecretDict | None) -> SecretDict | None:
        _lines_of(value)
        return value

    def place(self, item: Item | None = None) -> str:
        """Return the item's URL, or the list's."""
        return self.url if item is None else item.id

    def _list_url(self) -> str:
        """Return the list's path, or its address with its query."""
        if not self.url.startswith(_WEB):
            return self.url.removeprefix(_FILE)
        query = "" if self.url_query is None else f"?{self.url_query.get_secret_value()}"
        return f"{self.url.removeprefix('urls+')}{query}"

    def _connection(self) -> Connection:
        from prefect_collect.connectors.url_list.access import Access
        from prefect_collect.connectors.url_list.connection import connect

        return connect(
            Access(
                list_url=self._list_url(),
                place=self.url,
                headers=_lines_of(self.headers),
                look_first=self.look_first,
                allow_private=self.allow_private,
                ca_file=str(self.ca_file) if self.ca_file else None,
                connect_timeout=self.connect_timeout,
                read_timeout=self.read_timeout,
            )
        )


def _lines_of(headers: SecretDict | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the header lines for each server, by its name in lower case. Raise InvalidLocation."""
    given = {} if headers is None else headers.get_secret_value()
    found = []
    for host, values in given.items():
        if not isinstance(values, Mapping) or not host or "/" in host or ":" in host.strip("[]"):
            raise InvalidLocation(
                'headers must name servers, without ports, each with its headers: {"files.example.org": '
                '{"Authorization": "Bearer …"}}. [headers=…]'
            )
        try:
            found.append((host.strip("[]").rstrip(".").lower(), header_lines(dict(values))))
        except BadLine as error:
            raise InvalidLocation(f"headers {str(error).removeprefix('has ')}. [headers={host}]") from None
    return tuple(found)
