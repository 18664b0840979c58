"""The block of a database as a data source."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, PrivateAttr, SecretStr, field_validator, model_validator

from prefect_collect.blocks._connected import ConnectTimeout
from prefect_collect.blocks._database_urls import DATABASE_URLS, DIALECTS, checked_url
from prefect_collect.blocks.data_source import DataSource, SavedBlocks
from prefect_collect.blocks.logos import Logo
from prefect_collect.connectors.sql.access import KINDS, Access, without_password
from prefect_collect.errors import InvalidLocation, SourceNotFound
from prefect_collect.sources import Content, Item, Listed
from prefect_collect.sources.query import Query
from prefect_collect.storable import require_storable
from prefect_collect.stores.addresses import listed, shown

if TYPE_CHECKING:
    from prefect_collect.connectors.sql.attempts import HeldSource

_CONNECTOR: Final = "sqlalchemy-connector"

_DRIVERS: Final = {"psycopg": ("PostgreSQL",), "pymysql": ("MariaDB", "MySQL")}
"""The databases that are read by each driver; SQLite needs none."""


class SqlSource(DataSource):
    """The tables of a database (PostgreSQL, MariaDB or MySQL, SQLite), or the rows of a query, as Parquet files.

    An item is a slice of a table by its primary key, or a table's schema (``schema.sql``). All slices of an attempt are
    of one snapshot of the database, and nothing is written to it. Numbers, times and bytes have exact types; what has
    none is text, and the item's metadata says so.

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        custodian: The person or department whose data it is, for jobs that name no other.
        url: ``postgresql://user@host:port/database``, ``mysql://`` or ``mariadb://`` alike, or ``sqlite:////path``. A
            password in it becomes the field `password`.
        password: The user's password; by default the driver's own (``.pgpass``, PGPASSWORD, MYSQL_PWD).
        connector: The name of a saved block SQLAlchemy Connector (prefect-sqlalchemy) that knows the database, in place
            of `url` and `password`.
        tables: The tables to collect, as ``orders`` or ``public.orders``, with ``*`` and ``?``; by default all.
        views: Collect views too, and foreign tables.
        query: A query whose rows are collected instead of tables.
        rows: The rows of a slice.
        connections: The most connections at once that read PostgreSQL, in each process; others are read by one.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds in which the database gives nothing, after which a read fails.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import SqlSource

        source = SqlSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "SQL Source"
    _block_type_slug = "sql-source"
    _logo_url: ClassVar[Any] = Logo(
        "sql-source.png",
        "https://cdn.sanity.io/images/3ugk85nk/production/3c7dff04f70aaf4528e184a3b028f9e40b98d68c-250x250.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    url: str = Field(
        default="",
        title="URL",
        description=f"The database: {listed(DATABASE_URLS, 'or')}.",
    )
    password: SecretStr | None = Field(
        default=None,
        description="The user's password; by default what the driver finds in the environment.",
    )
    connector: str = Field(
        default="",
        description="The name of a saved SQLAlchemy Connector block that knows the database, in place of a URL.",
    )
    tables: list[str] = Field(
        default=[],
        description="The tables to collect, as orders or public.orders, with * and ?; by default all.",
    )
    views: bool = Field(
        default=False,
        description="Collect views too, and foreign tables.",
    )
    query: str = Field(
        default="",
        description="A query whose rows are collected instead of tables.",
    )
    rows: int = Field(
        default=100_000,
        ge=1,
        le=100_000_000,
        description="The rows of a slice, which is one Parquet file.",
    )
    connections: int = Field(
        default=4,
        ge=1,
        le=32,
        description="The most connections at once that read PostgreSQL, in each process; others are read by one.",
    )
    connect_timeout: ConnectTimeout = 20.0
    read_timeout: float = Field(
        default=600.0,
        gt=0,
        description="Seconds in which the database gives nothing, after which a read fails.",
    )

    _loaded: tuple[str, str | None, str] | None = PrivateAttr(default=None)

    @field_validator("tables", mode="before")
    @classmethod
    def _list_of_one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) and value else value or []

    @model_validator(mode="before")
    @classmethod
    def _take_password(cls, fields: Any) -> Any:
        """Take a password of the URL into its field, before anything else is made of the URL, such as the name."""
        if not isinstance(fields, dict) or not isinstance(fields.get("url"), str):
            return fields
        url, password = without_password(fields["url"])
        if password is None:
            return fields
        given = fields.get("password")
        given = given.get_secret_value() if isinstance(given, SecretStr) else given
        if given and given != password:
            raise InvalidLocation(f"password is in the URL too; leave one of them out. [url={shown(url)}]")
        return {**fields, "url": url, "password": SecretStr(password)}

    @model_validator(mode="after")
    def _check_location(self) -> Any:
        """Refuse what cannot be used."""
        if bool(self.url) == bool(self.connector):
            raise InvalidLocation("Give either url or connector: the database, or the block that knows it. [url]")
        if self.password is not None and not self.password.get_secret_value():
            self.password = None  # a field that a form leaves empty
        self.query = self.query.strip().rstrip(";").rstrip()
        for value, field in ((self.query, "query"), *((table, "tables") for table in self.tables)):
            require_storable(value, field, InvalidLocation)
        if self.query and self.tables:
            raise InvalidLocation("query and tables exclude each other; leave one out. [tables]")
        if self.connector:
            if self.password is not None:
                raise InvalidLocation("password goes with url only; the connector has its own. [password]")
            if "/" in self.connector.removeprefix(f"{_CONNECTOR}/"):
                raise InvalidLocation(f"connector must be the name of a saved block. [connector={self.connector}]")
            self.connector = self.connector.removeprefix(f"{_CONNECTOR}/")
        else:
            self.url = checked_url(self.url)
        return self

    @classmethod
    def takes_saved(cls, url: str) -> Mapping[str, SavedBlocks]:
        """Return the saved blocks that fill fields; SQLite has no password."""
        return {} if url.startswith("sqlite:") else super().takes_saved(url)

    @classmethod
    def lacks(cls) -> str:
        """Return what cannot be read without the drivers that this machine lacks, and how to install these."""
        missing = [driver for driver in _DRIVERS if find_spec(driver) is None]
        if not missing:
            return ""
        read = ["SQLite", *(name for driver, names in _DRIVERS.items() if driver not in missing for name in names)]
        unread = [name for driver in missing for name in _DRIVERS[driver]]
        return (
            f"{listed(read)} can be read, and {listed(unread)} cannot, without {listed(missing)}; install "
            f"{'it' if len(missing) == 1 else 'them'} with `pip install 'prefect-collect[sql]'`."
        )

    def location(self) -> str:
        """Return the URL without a password, or the connector block's name in Prefect."""
        return f"{_CONNECTOR}/{self.connector}" if self.connector else self.url

    def items(self) -> Iterator[Listed]:
        """Yield the tables' schemas and slices, in a snapshot of their own, and the proof that these are all."""
        return self._listed(None)

    def items_for(self, query: Query) -> Iterator[Listed]:
        """Yield the items of the tables in which the query may take something."""
        return self._listed(query)

    def _listed(self, query: Query | None) -> Iterator[Listed]:
        from prefect_collect.connectors.sql.listing import listed
        from prefect_collect.connectors.sql.sharing import own_snapshot

        with own_snapshot(self._access()) as snapshot:
            yield from listed(snapshot, query)

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield the slice as it is now, nothing if its table is gone; of a table that failed, its items."""
        from prefect_collect.connectors.sql.relisting import again
        from prefect_collect.connectors.sql.sharing import own_snapshot

        with own_snapshot(self._access()) as snapshot:
            yield from again(snapshot, item)

    def for_attempt(self, *, elsewhere: bool) -> AbstractContextManager[HeldSource]:
        """Return a context in which all items are listed and read in one snapshot."""
        from prefect_collect.connectors.sql.attempts import held

        return held(self, self._access(), elsewhere=elsewhere)

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open a slice or a schema; rows are streamed. Raise SourceError."""
        from prefect_collect.connectors.sql.reading import opened

        return opened(self._access(), item)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Yield nothing: no slice says its size, so each is opened."""
        return iter(())

    def _access(self) -> Access:
        """Return how the database is reached; a connector block is loaded once."""
        if self.connector and self._loaded is None:
            self._loaded = self._of_connector()
        url, password, arguments = self._loaded or self._of_url()
        return Access(
            url=url,
            place=self.location(),
            password=password,
            arguments=arguments,
            tables=tuple(self.tables),
            views=self.views,
            query=self.query,
            rows=self.rows,
            connections=self.connections,
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
        )

    def _of_url(self) -> tuple[str, str | None, str]:
        scheme, _, rest = self.url.partition("://")
        password = None if self.password is None else self.password.get_secret_value()
        return f"{DIALECTS[scheme]}://{rest}", password, "{}"

    def _of_connector(self) -> tuple[str, str | None, str]:
        """Return what the saved block says of its database. Raise SourceNotFound, InvalidLocation."""
        from sqlalchemy.engine import make_url

        block = self._connector_block()
        info = block.connection_info
        url = info.create_url() if hasattr(info, "create_url") else make_url(str(info))
        if url.get_backend_name() not in KINDS:
            raise InvalidLocation(
                f"Databases of this kind cannot be collected; {listed(sorted(set(KINDS.values())))} can. "
                f"[{self.location()}: {url.get_backend_name()}]"
            )
        plain = url.set(drivername=url.get_backend_name(), password=None)
        password = None if url.password is None else str(url.password)
        return plain.render_as_string(), password, json.dumps(block.connect_args or {}, sort_keys=True)

    def _connector_block(self) -> Any:
        try:
            import prefect_sqlalchemy  # noqa: F401
        except ImportError as error:
            raise InvalidLocation(
                f"A SQLAlchemy Connector needs its package: pip install prefect-sqlalchemy. [{self.location()}]"
            ) from error
        load: Any = Block.load
        try:
            return load(self.location())
        except ValueError as error:
            raise SourceNotFound(f"No block is saved under this name in Prefect. [{self.location()}]") from error
