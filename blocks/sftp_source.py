"""The block of a folder on an SFTP server as a data source."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import which
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import unquote, unquote_to_bytes

from pydantic import Field, HttpUrl, SecretStr, field_validator, model_validator

from prefect_collect.blocks._connected import EMPTY_IS_NONE, ConnectedSource, ConnectTimeout
from prefect_collect.blocks.logos import Logo
from prefect_collect.connectors.overlaps import served_overlap
from prefect_collect.connectors.sftp.connection import Access, Address, Connection, Secrets, connect
from prefect_collect.errors import InvalidLocation
from prefect_collect.sources import Overlap
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.stores.addresses import SOURCE_URLS, require_unsigned, shown

_URL: Final = re.compile(
    r"sftp://(?:(?P<user>[^@/:?#\s]+)@)?(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+(?:%\w+)?\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#]*)?"
)
_USER: Final = re.compile(r"(?!-)[^\s'`\";&<>|(){}\x00-\x1f\x7f]+")
"""The users that OpenSSH accepts too: those that no configuration's ProxyCommand can take for a command."""

_HOME: Final = re.compile(r"/~(?:/|$)")


class SftpSource(ConnectedSource):
    """A folder on an SFTP server, or a single file, read over the system's ``ssh``.

    The user's own ``~/.ssh/config``, agent, keys, certificates, jump hosts and known hosts are used. A host key that is
    not known is never accepted. Items are the regular files; an item's id is its path below the folder. An empty folder
    is a skipped item whose id ends in "/".

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        custodian: The person or department whose data it is, for jobs that name no other.
        url: ``sftp://user@host:port/path``; ``sftp://user@host/~/path`` is below the user's home.
        private_key: A private key, if it is not one of ssh's own.
        password: The user's password, for a server that takes no key.
        known_hosts: The server's host key, if it is not in known_hosts on every machine.
        config_file: A file that counts instead of ``~/.ssh/config``.
        follow_symlinks: Collect the targets of symbolic links inside the folder; otherwise links are skipped.
        connections: The most connections at once.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds without an answer after which a read fails.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import SftpSource

        source = SftpSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "SFTP Source"
    _block_type_slug = "sftp-source"
    _logo_url: ClassVar[Any] = Logo(
        "sftp-source.png",
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/"
        "assets/block-logos/filesystem.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    url: str = Field(
        title="URL",
        description=(
            f"The folder or file: {SOURCE_URLS['sftp']}, or sftp://user@host/~/path below the user's home. The host "
            "may be one of ~/.ssh/config."
        ),
    )
    private_key: SecretStr | None = Field(
        default=None,
        description="A private key without a passphrase; by default the keys and the agent that ssh itself finds.",
    )
    password: SecretStr | None = Field(
        default=None,
        description="The user's password, for a server that takes no key.",
    )
    known_hosts: Annotated[str | None, EMPTY_IS_NONE] = Field(
        default=None,
        description=(
            "The line of known_hosts with the server's host key; by default the files that ssh itself reads. A host "
            "key that is not known is never accepted."
        ),
    )
    config_file: Annotated[Path | None, EMPTY_IS_NONE] = Field(
        default=None,
        description="A file of ssh's options that counts instead of ~/.ssh/config.",
    )
    follow_symlinks: bool = Field(
        default=False,
        description="Collect the targets of symbolic links; a link that leads out of the folder is a failed item.",
    )
    connections: int = Field(
        default=4,
        ge=1,
        le=16,
        description="The most connections at once; fewer are used if the server refuses more.",
    )
    connect_timeout: ConnectTimeout = 20.0
    read_timeout: float = Field(
        default=60.0,
        gt=0,
        description="Seconds without an answer after which a read fails.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        require_unsigned(value, "url")
        if re.match(r"sftp://[^/@]*:[^/@]*@", value):
            raise InvalidLocation(
                "url must not contain a password, as it is stored with each job; use a key, or the field password. "
                f"[url={shown(value)}]"
            )
        found = _URL.fullmatch(value)
        if found is None or not 0 < int(found["port"] or 22) < 1 << 16:
            raise InvalidLocation(
                f"url must be {SOURCE_URLS['sftp']}, with %3F for ? and %23 for # in the path. [url={shown(value)}]"
            )
        if b"\0" in unquote_to_bytes(value):
            raise InvalidLocation(f"url must not contain the character NUL. [url={shown(value)}]")
        if found["user"] and not _USER.fullmatch(unquote(found["user"])):
            raise InvalidLocation(f"url has a user that ssh does not accept. [url={shown(value)}]")
        return value

    @model_validator(mode="after")
    def _check_secrets(self) -> Any:
        if self.private_key and self.password:
            raise InvalidLocation("private_key and password exclude each other; leave one out. [password=…]")
        return self

    @classmethod
    def lacks(cls) -> str:
        """Return how to install `ssh` if this machine has none."""
        return "" if which("ssh") else "`ssh` is not installed; install your system's OpenSSH client."

    def overlap(self, store: Store) -> Overlap | None:
        """Return what the folder and a directory store have in common, if the server is this machine."""
        if not isinstance(store, DirectoryStore):
            return None
        return served_overlap(store.root, self._connection().place_of)

    def _connection(self) -> Connection:
        found = _URL.fullmatch(self.url)
        assert found is not None  # the validator's
        address = Address(
            found["host"].strip("[]"),
            found["user"] and unquote(found["user"]),
            int(found["port"]) if found["port"] else None,
        )
        path = unquote_to_bytes(found["path"] or "/")
        if _HOME.match(found["path"] or ""):
            path = path[3:] or b"."
        return connect(
            Access(
                address=address,
                path=path,
                url=self.url,
                secrets=Secrets(
                    self.private_key.get_secret_value() if self.private_key else "",
                    self.password.get_secret_value() if self.password else "",
                    self.known_hosts or "",
                ),
                config=self.config_file,
                follow_symlinks=self.follow_symlinks,
                connections=self.connections,
                connect_timeout=self.connect_timeout,
                read_timeout=self.read_timeout,
            )
        )
