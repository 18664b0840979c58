"""The block of a folder of a cloud drive that rclone reads as a data source."""

from __future__ import annotations

import re
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final
from urllib.parse import unquote, unquote_to_bytes

from pydantic import Field, HttpUrl, SecretStr, field_validator

from prefect_collect.blocks._connected import EMPTY_IS_NONE, ConnectedSource, ConnectTimeout, ReadTimeout
from prefect_collect.blocks.logos import Logo
from prefect_collect.errors import InvalidLocation
from prefect_collect.stores.addresses import SOURCE_URLS, require_unsigned, shown

if TYPE_CHECKING:
    from prefect_collect.connectors.rclone.connection import Connection

_URL: Final = re.compile(r"rclone://(?P<remote>[\w.+@][\w.+@ -]*)(?P<path>/[^?#]*)?")
_UNSAFE: Final = re.compile(rb"[\x00-\x1f\x7f]")


class RcloneSource(ConnectedSource):
    """A folder of a cloud drive that rclone reads: Google Drive, OneDrive and SharePoint, Dropbox, Box and many more.

    Items are the files; an item's id is its path below the folder. A process of rclone runs as long as the job and
    speaks the service's protocol, with a remote of rclone's configuration. What the service states of a file is
    compared with what arrives: size and hash, and the time before and after. Services that a source of this package
    reads itself are refused, and the better source is named.

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        custodian: The person or department whose data it is, for jobs that name no other.
        url: ``rclone://REMOTE/path``: a remote's name in the configuration, and a folder in it.
        config: The text of rclone's configuration file, with its tokens; by default the file of the user whom the job
            runs as. It is written to a private file for the process of rclone alone.
        connect_timeout: Seconds to connect.
        read_timeout: Seconds without data after which a read fails.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import RcloneSource

        source = RcloneSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "Rclone Source"
    _block_type_slug = "rclone-source"
    _logo_url: ClassVar[Any] = Logo(
        "rclone-source.png",
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/"
        "assets/block-logos/filesystem.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    url: str = Field(
        title="URL",
        description=f"A remote of rclone's configuration and a folder in it: {SOURCE_URLS['rclone']}.",
    )
    config: Annotated[SecretStr | None, EMPTY_IS_NONE] = Field(
        default=None,
        description="The text of rclone's configuration file, with its tokens; by default the file of the job's user.",
    )
    connect_timeout: ConnectTimeout = 20.0
    read_timeout: ReadTimeout = 60.0

    @classmethod
    def lacks(cls) -> str:
        """Return how to install rclone if this machine has none."""
        from prefect_collect.connectors.rclone.process import HOW_TO_INSTALL

        return "" if which("rclone") else f"rclone is not installed; {HOW_TO_INSTALL}."

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        require_unsigned(value, "url")
        found = _URL.fullmatch(value)
        if found is None:
            raise InvalidLocation(
                f"url must be {SOURCE_URLS['rclone']}, where REMOTE is a name in rclone's configuration, with %3F for "
                f"? and %23 for # in the path. [url={shown(value)}]"
            )
        names = unquote_to_bytes(found["path"] or "").split(b"/")
        if any(name in (b".", b"..") or _UNSAFE.search(name) for name in names):
            raise InvalidLocation(f"url must not contain control characters, /./ or /../. [url={shown(value)}]")
        return value

    def _connection(self) -> Connection:
        from prefect_collect.connectors.rclone.connection import Access, connect

        found = _URL.fullmatch(self.url)
        assert found is not None  # the validator's
        return connect(
            Access(
                remote=found["remote"],
                root=unquote(found["path"] or "").strip("/"),
                place=self.url,
                config=None if self.config is None else self.config.get_secret_value(),
                connect_timeout=self.connect_timeout,
                read_timeout=self.read_timeout,
            )
        )
