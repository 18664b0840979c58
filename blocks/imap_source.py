"""The block of a mailbox on an IMAP server as a data source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, HttpUrl, SecretStr, model_validator

from prefect_collect.blocks._connected import ConnectTimeout, ReadTimeout, password_refused, secret_of
from prefect_collect.blocks.data_source import DataSource
from prefect_collect.blocks.logos import Logo
from prefect_collect.connectors.imap.account import IMAP_PORT, IMAPS_PORT, Account
from prefect_collect.errors import InvalidLocation
from prefect_collect.sources import Content, Item, Listed
from prefect_collect.sources.listing import HeldItems
from prefect_collect.sources.query import Query
from prefect_collect.stores.addresses import SOURCE_URLS, require_unsigned, shown

if TYPE_CHECKING:
    from prefect_collect.connectors.imap.sessions import Sessions

PASSWORD_VARIABLE: Final = "IMAP_PASSWORD"
"""The environment variable of the password, if the block has neither a password nor a token."""

TOKEN_VARIABLE: Final = "IMAP_ACCESS_TOKEN"
"""The environment variable of the OAuth 2.0 access token; it takes precedence over the password's."""

_FORM: Final = SOURCE_URLS["imaps"]
_KEYS: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^"\\{}\x00-\x1f\x7f])*')
_SAFE: Final = "@+!$'*,;=&~"


class ImapSource(DataSource):
    """The messages of a mailbox on an IMAP server, as they are: nothing is marked as read or changed.

    An item is a message, byte for byte; its id is made of its folder, the folder's UIDVALIDITY and its UID, and its
    path is ``folder/UID subject.eml``. Senders, recipients, dates, subject, attachments' names and Gmail's labels are
    the item's metadata in the manifest. A folder that shows messages of other folders (``\\All``) is skipped; on Gmail
    it is collected in place of the labels, so that a message under several labels is one item.

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        custodian: The person or department whose data it is, for jobs that name no other.
        url: ``imaps://user@host/folder``, or ``imap://`` for STARTTLS. The folder is taken with all below it; a special
            use such as ``\\Sent`` names the folder with that use, and no folder all folders.
        password: The user's password; by default that of the environment (`IMAP_PASSWORD`).
        token: An OAuth 2.0 access token, for XOAUTH2, in place of a password; by default that of the environment
            (`IMAP_ACCESS_TOKEN`).
        search: Search keys of IMAP that the messages match, such as ``FROM ann@example.org``.
        connections: The most connections to the server at once, in each process.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without data after which a read fails.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import ImapSource

        source = ImapSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "IMAP Source"
    _block_type_slug = "imap-source"
    _logo_url: ClassVar[Any] = Logo(
        "imap-source.png",
        "https://cdn.sanity.io/images/3ugk85nk/production/82bc6ed16ca42a2252a5512c72233a253b8a58eb-250x250.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    url: str = Field(
        description="Where the messages are: imaps://user@host/folder, or imap:// for STARTTLS; no folder for all.",
    )
    password: SecretStr | None = Field(
        default=None,
        description="The user's password; by default that of the environment (IMAP_PASSWORD).",
    )
    token: SecretStr | None = Field(
        default=None,
        description="An OAuth 2.0 access token (XOAUTH2), in place of a password.",
    )
    search: str = Field(
        default="",
        description="Search keys of IMAP that the messages match, such as FROM ann@example.org; by default all.",
    )
    connections: int = Field(
        default=4,
        ge=1,
        le=32,
        description="The most connections to the server at once, in each process.",
    )
    connect_timeout: ConnectTimeout = 20.0
    read_timeout: ReadTimeout = 60.0

    @model_validator(mode="after")
    def _check_location(self) -> Any:
        """Take the search keys of the URL (RFC 5092) into their field, and refuse what cannot be used."""
        require_unsigned(self.url, "url")
        address, _, keys = self.url.partition("?")
        if keys and self.search and unquote(keys) != self.search:
            raise InvalidLocation(f"search is in the URL too; leave one of them out. [search={self.search[:100]}]")
        self.url, self.search = address, self.search or unquote(keys)
        self._require_address()
        if self.password is not None and self.token is not None:
            raise InvalidLocation("password and token exclude each other; leave one out. [token]")
        if not self.search.isascii() or _KEYS.fullmatch(self.search) is None or not _is_balanced(self.search):
            raise InvalidLocation(
                'search must be search keys of IMAP in ASCII, such as FROM ann@example.org or SUBJECT "annual report". '
                f"[search={self.search[:100]}]"
            )
        return self

    def _require_address(self) -> None:
        scheme, is_url, _ = self.url.partition("://")
        if not is_url or scheme not in ("imap", "imaps"):
            raise InvalidLocation(f"url must begin with imaps:// or imap://. [url={shown(self.url)}]")
        try:
            parts = urlsplit(self.url)
            user, host, port = parts.netloc.rpartition("@")[0], parts.hostname, parts.port
        except ValueError as error:
            raise InvalidLocation(f"url must be a URL, as {_FORM}: {error}. [url={shown(self.url)}]") from None
        if ":" in user:
            raise password_refused(self.url, PASSWORD_VARIABLE)
        if not user or not host or port == 0 or parts.fragment:
            raise InvalidLocation(f"url must name a user and a server, as {_FORM}. [url={shown(self.url)}]")

    def location(self) -> str:
        """Return the URL, with the search keys."""
        return f"{self.url}?{quote(self.search, safe=_SAFE)}" if self.search else self.url

    def place(self, item: Item | None = None) -> str:
        """Return the message's location, or the source's."""
        return self.location() if item is None else f"{self._account().place}/{item.path}"

    def items(self) -> Iterator[Listed]:
        """Yield the messages folder by folder, and the proof that these are all. Raise SourceError."""
        from prefect_collect.connectors.imap.listing import messages

        return messages(self._sessions(), self._folder, self.search)

    def items_for(self, query: Query) -> Iterator[Listed]:
        """Yield the messages that the query may take: the server searches by date and size."""
        from prefect_collect.connectors.imap.listing import messages

        return messages(self._sessions(), self._folder, self.search, query)

    def items_since(self, query: Query, held: HeldItems) -> Iterator[Listed]:
        """Yield the messages that the query may take; the server does not describe again those that are held."""
        from prefect_collect.connectors.imap.listing import messages

        return messages(self._sessions(), self._folder, self.search, query, held)

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield the message as it is now, nothing if it is gone; of a folder that failed, the messages in it."""
        from prefect_collect.connectors.imap.relisting import folder_again, message_again

        if item.path.endswith("/"):
            return folder_again(self._sessions(), item, self._folder, self.search)
        return message_again(self._sessions(), item)

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open a message of any size; its bytes are streamed. Raise SourceError."""
        from prefect_collect.connectors.imap.reading import opened

        return opened(self._sessions(), item)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small messages, 100 with each FETCH, on one connection, whatever the concurrency is."""
        from prefect_collect.connectors.imap.reading import read_many

        return read_many(self._sessions(), items)

    def _sessions(self) -> Sessions:
        from prefect_collect.connectors.imap.sessions import sessions_of

        return sessions_of(self._account())

    @property
    def _folder(self) -> str:
        return unquote(urlsplit(self.url).path).strip("/")

    def _account(self) -> Account:
        parts = urlsplit(self.url)
        has_tls = parts.scheme == "imaps"
        token = secret_of(self.token, TOKEN_VARIABLE if self.password is None else "")
        return Account(
            host=parts.hostname or "",
            port=parts.port or (IMAPS_PORT if has_tls else IMAP_PORT),
            user=unquote(parts.netloc.rpartition("@")[0]),
            password=None if token is not None else secret_of(self.password, PASSWORD_VARIABLE),
            token=token,
            tls=has_tls,
            connections=self.connections,
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
        )


def _is_balanced(keys: str) -> bool:
    depth = 0
    for sign in re.sub(r'"(?:[^"\\]|\\.)*"', "", keys):
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return False
    return depth == 0
