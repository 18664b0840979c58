"""The block of a folder on a WebDAV server as a data source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final
from urllib.parse import unquote

from pydantic import Field, HttpUrl, SecretStr, field_validator, model_validator

from prefect_collect.blocks._connected import (
    EMPTY_IS_NONE,
    ConnectedSource,
    ConnectTimeout,
    ReadTimeout,
    password_refused,
    secret_of,
)
from prefect_collect.blocks.logos import Logo
from prefect_collect.connectors.webdav.root import BadHref, segments_of
from prefect_collect.connectors.webdav.schemes import Authentication
from prefect_collect.errors import InvalidLocation
from prefect_collect.stores.addresses import SOURCE_URLS, require_unsigned, shown

if TYPE_CHECKING:
    from prefect_collect.connectors.webdav.access import Access
    from prefect_collect.connectors.webdav.connection import Connection

PASSWORD_VARIABLE: Final = "WEBDAV_PASSWORD"
"""The environment variable of the password, if the block has neither a password nor a token."""

TOKEN_VARIABLE: Final = "WEBDAV_TOKEN"
"""The environment variable of the bearer token; it takes precedence over the password's."""

_URL: Final = re.compile(
    r"(?:web)?dav(?P<tls>s?)://(?:(?P<user>[^@/:?#\s]+)@)?"
    r"(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#]*)?"
)
_UNSAFE: Final = re.compile(rb"[\x00-\x1f\x7f]")


class WebDavSource(ConnectedSource):
    """A folder on a WebDAV server (Nextcloud, ownCloud, SharePoint on premises, Apache), or a single file.

    Items are the files; an item's id is its path below the folder. Folders are listed one by one, with the size, time
    and ETag of each file, with which what arrives is compared. An empty folder is a skipped item whose id ends in "/".

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        custodian: The person or department whose data it is, for jobs that name no other.
        url: ``webdavs://user@host/path``, or ``webdav://`` without TLS; the user may be left out.
        password: The user's password; by default that of the environment (`WEBDAV_PASSWORD`).
        token: A bearer token, in place of user and password; by default that of the environment (`WEBDAV_TOKEN`).
        authentication: In which scheme the user is proved. "auto": of those that the server offers Digest, else NTLM,
            else Basic; without TLS, Digest only. "ntlm" (extra ``ntlm``) is sent without TLS too, "basic" never;
            "negotiate" takes the Kerberos ticket of the process, and no password.
        ca_file: A file of the certificates that are trusted, if the server's is of an authority of your own.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without data after which a read fails.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import WebDavSource

        source = WebDavSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "WebDAV Source"
    _block_type_slug = "webdav-source"
    _logo_url: ClassVar[Any] = Logo(
        "webdav-source.png",
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/"
        "assets/block-logos/filesystem.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    url: str = Field(
        title="URL",
        description=f"The folder or file: {SOURCE_URLS['webdavs']}, or webdav:// without TLS.",
    )
    password: SecretStr | None = Field(
        default=None,
        description="The user's password; by default that of the environment (WEBDAV_PASSWORD).",
    )
    token: SecretStr | None = Field(
        default=None,
        description="A bearer token, in place of user and password; by default that of the environment (WEBDAV_TOKEN).",
    )
    authentication: Authentication = Field(
        default="auto",
        description="auto: Digest, else NTLM, else Basic, as the server offers; without TLS, Digest only. negotiate: "
        "the Kerberos ticket of the process, without a password.",
    )
    ca_file: Annotated[Path | None, EMPTY_IS_NONE] = Field(
        default=None,
        title="CA File",
        description="A file of the certificates that are trusted, for a server of an authority of your own.",
    )
    connect_timeout: ConnectTimeout = 20.0
    read_timeout: ReadTimeout = 60.0

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        require_unsigned(value, "url")
        if re.match(r"(?:web)?davs?://[^/@]*:[^/@]*@", value):
            raise password_refused(value, PASSWORD_VARIABLE)
        found = _URL.fullmatch(value)
        if found is None or not 0 < int(found["port"] or 443) < 1 << 16:
            raise InvalidLocation(
                f"url must be {SOURCE_URLS['webdavs']} or webdav://…, with %3F for ? and %23 for # in the path. "
                f"[url={shown(value)}]"
            )
        try:
            names = segments_of(found["path"] or "")
        except BadHref as error:
            raise InvalidLocation(f"url {error}, such as . or .. or nothing. [url={shown(value)}]") from None
        if any(_UNSAFE.search(name) for name in names):
            raise InvalidLocation(f"url must not contain control characters. [url={shown(value)}]")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Any:
        if self.password is not None and self.token is not None:
            raise InvalidLocation("password and token exclude each other; leave one out. [token=…]")
        if self.password is not None and not self._user:
            raise InvalidLocation(f"a password needs a user in the url, as {SOURCE_URLS['webdavs']}. [password=…]")
        if self.authentication != "auto" and self.token is not None:
            raise InvalidLocation(
                f"a token and authentication exclude each other; leave one out. [authentication={self.authentication}]"
            )
        if self.authentication == "negotiate" and self.password is not None:
            raise InvalidLocation(
                "negotiate takes the Kerberos ticket of the process, and no password; leave out the password, or use "
                "ntlm. [authentication=negotiate]"
            )
        return self

    @property
    def _user(self) -> str:
        found = _URL.fullmatch(self.url)
        return unquote(found["user"]) if found is not None and found["user"] else ""

    def _connection(self) -> Connection:
        from prefect_collect.connectors.webdav.connection import connect

        return connect(self._access())

    def _access(self) -> Access:
        from prefect_collect.connectors.webdav.access import Access

        found = _URL.fullmatch(self.url)
        assert found is not None  # the validator's
        is_auto = self.authentication == "auto"
        token = secret_of(self.token, TOKEN_VARIABLE if self.password is None and is_auto else "")
        has_password = bool(self._user) and self.authentication != "negotiate"
        host, port = found["host"].lower(), found["port"]
        return Access(
            origin=f"http{found['tls']}://{host}{f':{port}' if port else ''}",
            host=host.strip("[]"),
            path=found["path"] or "/",
            place=self.url,
            user=self._user,
            password=None if token is not None or not has_password else secret_of(self.password, PASSWORD_VARIABLE),
            token=token,
            authentication=self.authentication,
            ca_file=str(self.ca_file) if self.ca_file else None,
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
        )
