"""The files of a TAR archive as a data source: a package that adds a kind of source to prefect-collect."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pydantic import Field

from prefect_collect import DataSource
from prefect_collect.sources import Content, Failure, Item, Listed, ListingEnd, SourceError


class TarSource(DataSource):
    """The files of a TAR archive."""

    _block_type_slug = "tar-source"

    url: str = Field(description="tar:///path of the archive.")

    def location(self) -> str:
        """Return the URL."""
        return self.url

    def items(self) -> Iterator[Listed]:
        """Yield the regular files, and the proof that the archive was read to its end."""
        with self._archive() as archive:
            for member in archive:
                if member.isreg():
                    modified = datetime.fromtimestamp(member.mtime, UTC)
                    yield Item(str(member.offset), member.name, member.size, modified)
        yield ListingEnd("the archive was read to its last block")

    @contextmanager
    def open(self, item: Item) -> Iterator[Content]:
        """Open a file by its offset in the archive."""
        with self._archive() as archive:
            found = [member for member in archive if str(member.offset) == item.id]
            if not found:
                raise SourceError(f"The archive has no such file. [{self.place(item)}]", code="not_found")
            file = archive.extractfile(found[0])
            assert file is not None
            yield Content(iter(lambda: file.read(1 << 20), b""), size=found[0].size)

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """Return what an error of tarfile means."""
        if isinstance(error, tarfile.TarError):
            return Failure("read_error", f"The archive is broken: {error}. [{self.place(item)}]")
        return super().classify(error, item)

    def _archive(self) -> tarfile.TarFile:
        return tarfile.open(self.url.removeprefix("tar://"), errorlevel=2)
