"""The block of a directory tree as a data source."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from pydantic import Field, HttpUrl, field_validator

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.blocks.logos import Logo
from prefect_collect.codes import Failure
from prefect_collect.connectors.files.reader import Reader
from prefect_collect.connectors.files.tree import Tree, decode_id
from prefect_collect.connectors.os_failures import os_failure
from prefect_collect.connectors.overlaps import folder_overlap
from prefect_collect.errors import InvalidLocation, SourceError
from prefect_collect.job_folder.collected_folder import FOLDER
from prefect_collect.sources import Content, Item, Listed, ListingEnd, Overlap, expected_bytes
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.stores.addresses import require_unsigned, shown
from prefect_collect.threads.pool import as_completed

_SAMPLE: Final = 64
_SLOW: Final = 0.0005

if TYPE_CHECKING:  # so that type checkers accept a string for the root, as the validator does
    from prefect_collect.blocks._converted import Converted

    Root = Converted[Path, str | Path]
else:
    Root = Path


class FileSource(DataSource):
    """A directory tree, or a single file.

    Items are the regular files, sorted by the bytes of their names; an item's id is its path below `root`. An empty
    folder is a skipped item whose id ends in "/". A file that is replaced while it is read is collected as it was when
    it was opened.

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        custodian: The person or department whose data it is, for jobs that name no other.
        root: The folder, or a single file.
        follow_symlinks: Collect the targets of symbolic links inside the root; otherwise links are skipped.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import FileSource

        source = FileSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "File Source"
    _block_type_slug = FOLDER
    _logo_url: ClassVar[Any] = Logo(
        "file-source.png",
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/"
        "assets/block-logos/filesystem.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    root: Root = Field(
        description="The folder to collect, or a single file; made absolute when the block is created.",
    )
    follow_symlinks: bool = Field(
        default=False,
        description="Collect the targets of symbolic links; a link that leads out of the root is a failed item.",
    )

    @field_validator("root", mode="before")
    @classmethod
    def _check_root(cls, value: object) -> Path:
        if not isinstance(value, (str, Path)) or not str(value):
            raise InvalidLocation(f"root must be the path of a folder or a file. [root={value!r}]")
        if "://" in str(value):
            require_unsigned(str(value), "root")
            raise InvalidLocation(
                f"root must be a local path; for a URL use ObjectStoreSource. [root={shown(str(value))}]"
            )
        return Path(os.path.abspath(os.path.expanduser(value)))

    @classmethod
    def from_url(cls, url: str, **fields: Any) -> Self:
        """Return the source at a ``file://`` URL, whose rest is the path as it is."""
        return cls.model_validate({"root": url.removeprefix("file://"), **fields})

    def location(self) -> str:
        """Return the root's absolute path."""
        return str(self.root)

    def place(self, item: Item | None = None) -> str:
        """Return the item's absolute path, or the root's."""
        return str(self.root if item is None or self.root.is_file() else self.root / item.path)

    def items(self) -> Iterator[Listed]:
        """Yield the files below the root, or the single file, and the listing's end.

        Raise OSError or SourceError if the root cannot be listed, or was replaced by another folder meanwhile.
        """
        mode = os.stat(self.root).st_mode
        if stat.S_ISDIR(mode):
            return self._tree().walk()
        if not stat.S_ISREG(mode):
            raise SourceError(f"The root is neither a folder nor a regular file. [{self.root}]", code="special_file")
        with open(self.root, "rb"):  # if a single file is unreadable, the job fails, not an item
            pass
        item = self._tree().entry(os.fsencode(self.root.name))
        return iter(() if item is None else (item, ListingEnd("the source is one file, and it is there", items=1)))

    def relist(self, item: Item) -> Iterator[Listed]:
        """Yield the item as it is now; for a folder, the items that are in it now and the listing's end."""
        relative = _relative(item)
        tree = self._tree()
        try:
            now = tree.entry(relative.rstrip(b"/"))
        except FileNotFoundError:
            return
        except OSError as error:
            yield replace(item, failure=self._failed(error, self.place(item)), skipped=None)
            return
        if now is not None:
            yield now
            return
        yield from self._expand(tree, relative.rstrip(b"/") + b"/", item)

    def open(self, item: Item) -> AbstractContextManager[Content]:
        """Open a file, to be read in chunks of 1 MiB. Raise OSError, or SourceError if the file has changed."""
        return self._reader().open(_relative(item))

    def open_range(self, item: Item, start: int, end: int) -> AbstractContextManager[Content]:
        """Open a part of a file (`prefect_collect.sources.ranges.RangedSource`). Raise as `open`."""
        return self._reader().open(_relative(item), start, end)

    def read_many(self, items: Iterable[Item], concurrency: int) -> Iterator[tuple[Item, Content | Exception]]:
        """Read small files whole: in this thread, which is fastest for cached files, else in `concurrency` threads."""
        reader = self._reader()
        waiting = iter(items)
        seconds = 0.0
        for count, item in enumerate(waiting, 1):
            started = time.perf_counter()
            read: Content | Exception
            try:
                read = reader.read(_relative(item))
            except (OSError, SourceError) as error:
                read = error
            seconds += time.perf_counter() - started
            yield item, read
            if count == _SAMPLE and seconds > _SAMPLE * _SLOW and concurrency > 1:
                yield from as_completed(lambda item: reader.read(_relative(item)), waiting, concurrency, expected_bytes)

    def overlap(self, store: Store) -> Overlap | None:
        """Return what the folder and a directory store have in common, also through links and mounts."""
        if not isinstance(store, DirectoryStore):
            return None
        return folder_overlap(self.root, store.root, follow_symlinks=self.follow_symlinks)

    def _expand(self, tree: Tree, folder: bytes, item: Item) -> Iterator[Listed]:
        below = tree.walk(folder)
        try:
            first = next(below)
        except OSError as error:
            yield replace(item, failure=self._failed(error, self.place(item)), skipped=None)
            return
        if isinstance(first, ListingEnd):
            skipped = Failure("empty_folder", f"The folder is empty now. [{self.place(item)}]")
            yield replace(item, skipped=skipped, failure=None)
            return
        yield replace(first, expands=item.id)
        for found in below:
            yield found if isinstance(found, ListingEnd) else replace(found, expands=item.id)

    def _base(self) -> bytes:
        return os.fsencode(self.root if not self.root.is_file() else self.root.parent)

    def _tree(self) -> Tree:
        return Tree(self._base(), follow_symlinks=self.follow_symlinks, failed=self._failed)

    def _reader(self) -> Reader:
        return Reader(self._base(), follow_symlinks=self.follow_symlinks)

    def _failed(self, error: OSError, place: str) -> Failure:
        return os_failure(error, place) or Failure("read_error", f"{error.strerror or error}. [{place}]")


def _relative(item: Item) -> bytes:
    """Return the item's path below the root. Raise SourceError (`path_unsafe`) if its id leads out of the root."""
    relative = decode_id(item.id)
    if relative.startswith(b"/") or b".." in relative.split(b"/") or b"\0" in relative:
        raise SourceError(f"The id leads out of the source. [id={item.id}]", code="path_unsafe")
    return relative
