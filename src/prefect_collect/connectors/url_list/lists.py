"""Where a list of URLs is read from: a file, or a server."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping
from time import monotonic
from typing import BinaryIO, Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.addresses import checked_url, origin
from prefect_collect.connectors.http.client import Client, Target
from prefect_collect.connectors.http.download import Download
from prefect_collect.connectors.url_list.list_file import ListFile

_FRESH: Final = 300.0
"""Seconds after which a list that a server sent is asked for again, if URLs of it are still read."""


class Lists:
    """A list as it is now; several threads may ask for it.

    Args:
        url: A path, or an http(s) URL.
        place: The source's location, in which messages end.
        client: What asks for it.
        headers: The header lines for each server, by its name.
    """

    def __init__(self, url: str, place: str, client: Client, headers: Mapping[str, tuple[str, ...]]) -> None:
        self._url, self._place, self._client, self._headers = url, place, client, headers
        self._lock = threading.Lock()
        self._list: ListFile | None = None
        self._since = 0.0

    def opened(self, *, fresh: bool = False) -> ListFile:
        """Return the list; it is read again for a listing, and if the file is another one now."""
        with self._lock:
            if self._list is None or fresh or self._is_old():
                self._list = ListFile(self._received(), self._place)
                self._since = monotonic()
            return self._list

    def _is_old(self) -> bool:
        assert self._list is not None
        if _is_web(self._url):
            return monotonic() - self._since > _FRESH
        try:
            status = os.stat(self._url)
        except OSError:
            return False
        return (status.st_ino, status.st_size, status.st_mtime_ns) != self._list.state

    def _received(self) -> BinaryIO:
        """Return the list as an open file: the user's own, or a nameless one with what its server sent."""
        if not _is_web(self._url):
            if os.path.exists(self._url) and not os.path.isfile(self._url):
                raise source_error("special_file", "The list is no regular file", self._place)
            try:
                return open(self._url, "rb")
            except (FileNotFoundError, NotADirectoryError) as error:
                what = "There is no such list on this machine; check the path"
                raise source_error("not_found", what, self._place) from error
        url = checked_url(self._url)
        target = Target(url, self._place, self._headers.get(origin(url)[1], ()))
        download = Download(self._client, target)
        kept: BinaryIO = tempfile.TemporaryFile("w+b", buffering=0)  # noqa: SIM115
        try:
            download.begin()
            for piece in download.pieces():
                kept.write(piece)
        except BaseException:
            kept.close()
            raise
        finally:
            download.close()
        return kept


def _is_web(list_url: str) -> bool:
    return list_url.startswith(("http://", "https://"))
