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
    fixity: Mapping[str, Mapping[str, str]]
    """Further hashes by algorithm, and by the hash of the content."""

    def check_bytes(self, manifest: Manifest, more: Sequence[Manifest]) -> None:
        """Compare the version's own list of hashes, and MD5 and SHA-1 of its items, with the object's inventory."""
        lists = {one.number: one for one in (manifest, *more)}
        for share in shares_of(self.files.index, [*lists]):
            for entry, digests in read_share(share)[0]:
                for number, digest in digests.items():
                    if digest.hex() != self._proven(manifest, lists[number], entry.name, digest):
                        what = f"{lists[number].name} and the inventory do not agree on its hash"
                        self.problems.add(entry.name, what)

    def _proven(self, manifest: Manifest, one: Manifest, path: str, digest: bytes) -> str:
        """Return the hash of a logical path that was compared with its bytes; `digest` if none of its kind was."""
        content = self.state[path]
        if one is manifest:
            return content
        name = one.algorithm.name if one.algorithm is not None else ""
        return self.fixity.get(name, {}).get(content, digest.hex())

    def items_check(self, said: Mapping[str, Any]) -> ItemsCheck:
        """Return the check of the items."""
        return ItemsCheck(self.files, (ITEMS_FOLDER,))
