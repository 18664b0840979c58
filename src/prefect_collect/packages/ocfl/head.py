"""The last version of an OCFL object as a package of files: under their logical paths, wherever their bytes are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.archive.random_access import Bytes
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.contents.containers import FileContainer, Reader
from prefect_collect.packages.contents.index import Entry, FileIndex
from prefect_collect.packages.contents.shares import read_share, shares_of
from prefect_collect.packages.file_sets.check import SetCheck
from prefect_collect.packages.file_sets.items import ItemsCheck
from prefect_collect.packages.ocfl.inventory import Inventory
from prefect_collect.packages.ocfl.names import DESCRIPTION, ITEMS_FOLDER
from prefect_collect.packages.problems import Findings


class HeadContainer(FileContainer):
    """The files of the last version of an object whose files are in `files`."""

    has_folders = False

    def __init__(self, files: BagFiles, base: str, inventory: Inventory) -> None:
        self._container, self._index, self._base = files.container, files.index, base
        self.state = inventory.state(inventory.head)
        self._places = {digest: paths[0] for digest, paths in inventory.manifest.items()}

    def scan(self, index: FileIndex, findings: Findings) -> bool:
        """Add all files to the index; a file whose bytes are missing has size 0."""
        for path, digest in self.state.items():
            entry = self._entry(digest)
            index.add(Entry(index.count, path, 0 if entry is None else entry.size))
        index.finish()
        return True

    def opened(self, entry: Entry) -> Bytes:
        """Return the file's bytes. Raise Damaged."""
        return self._container.opened(self._required(entry.name))

    def reader(self, entries: Sequence[Entry], following: int | None) -> Reader:
        """Return a reader of those files."""
        return _HeadReader(self)

    def chunks(self, path: str) -> Iterator[bytes | memoryview]:
        """Yield the bytes of a file. Raise Damaged."""
        entry = self._required(path)
        yield from self._container.reader([entry], None).chunks(entry)

    def _required(self, path: str) -> Entry:
        entry = self._entry(self.state[path])
        if entry is None:
            raise Damaged("its bytes are missing")
        return entry

    def _entry(self, digest: str) -> Entry | None:
        return self._index.find(f"{self._base}{self._places[digest]}")


@dataclass(slots=True)
class _HeadReader:
    _container: HeadContainer
    form: Problems

    def __init__(self, container: HeadContainer) -> None:
        self._container, self.form = container, Problems()

    def chunks(self, entry: Entry) -> Iterator[bytes | memoryview]:
        return self._container.chunks(entry.name)


class HeadCheck(SetCheck):
    """The check of the lists of a version; `files` are those of a `HeadContainer`, whose bytes are checked before."""

    description: ClassVar[str] = DESCRIPTION
    state: Mapping[str, str]
    """The hash of each logical path."""

    def check_bytes(self, manifest: Manifest) -> None:
        """Compare the version's own list of hashes with the object's inventory."""
        for share in shares_of(self.files.index, [manifest.number]):
            for entry, digests in read_share(share)[0]:
                if manifest.number in digests and digests[manifest.number].hex() != self.state[entry.name]:
                    self.problems.add(entry.name, f"{manifest.name} and the inventory do not agree on its hash")

    def items_check(self, said: Mapping[str, Any]) -> ItemsCheck:
        """Return the check of the items."""
        return ItemsCheck(self.files, (ITEMS_FOLDER,))
