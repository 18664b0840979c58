"""Sources of folders on SFTP servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks import SftpSource
from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from tests.integration.sftp import SftpServer


def source_of(sftp_server: SftpServer, path: Path, **fields: Any) -> SftpSource:
    """Return a source that is patient for a few seconds only."""
    return SftpSource(name="sftp", **sftp_server.access(path, **{"read_timeout": 5, "connect_timeout": 5, **fields}))


def failed(source: SftpSource) -> SourceError:
    """Return the error with which a source cannot be listed."""
    with pytest.raises(SourceError) as caught:
        list(source.items())
    return caught.value


def codes(source: SftpSource) -> dict[str, str]:
    """Return the codes of what is listed and not to be read, by id."""
    reasons = ((item.id, item.skipped or item.failure) for item in items_of(source))
    return {id_: reason.code for id_, reason in reasons if reason is not None}
