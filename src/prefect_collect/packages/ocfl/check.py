"""Checks an OCFL object: its structure, every version and every hash, and the lists of a version that was made here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Final

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.packages.bags.algorithms import find_algorithm, normalised
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.hashing import Progress, check_hashes
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.bags.safe_names import check_safe
from prefect_collect.packages.contents.index import temporary_index
from prefect_collect.packages.file_sets.check import SetCheck
from prefect_collect.packages.ocfl.head import HeadCheck, HeadContainer
from prefect_collect.packages.ocfl.inventory import MOST_BYTES, Inventory, Paths, flattened, parsed_inventory
from prefect_collect.packages.ocfl.names import DESCRIPTION, INVENTORY, OBJECT, declared
from prefect_collect.untrusted.bounded_json import BadValue

_AT_ONCE: Final = 500
_BESIDE: Final = ("extensions/", "logs/")
"""What other tools may put into an object, and no version has (OCFL 1.1, section 3.1)."""


class OcflCheck:
    """The check of one object whose files are in an index; call `run` once, and then `close`.

    After `run`, `files` are those of the last version, by their logical paths.
    """

    def __init__(self, files: BagFiles, threads: int, progress: Progress | None = None) -> None:
        self.files, self.threads, self.progress = files, threads, progress
        self.items = self.payload = self.not_delivered = 0
        self.tool, self.has_documents, self.ours = "", False, False
        self._fingerprint = ""
        self._opened = ExitStack()

    def close(self) -> None:
        """Remove the index of the last version."""
        self._opened.close()

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the inventory; "" if there is none."""
        return self._fingerprint

    @property
    def _problems(self) -> Problems:
        return self.files.findings.problems

    def run(self) -> None:
        """Check everything, and add what is wrong to the findings."""
        files = self.files
        check_safe(files)
        files.find_base(OBJECT)
        files.check_names()
        self._fingerprint = files.sha256(INVENTORY)
        try:
            inventory = self._inventory("")
            if files.start(OBJECT, 100) != declared(OBJECT):
                self._problems.add(OBJECT, "it is not the declaration of an object")
        except Damaged as error:
            self._problems.add(INVENTORY, str(error))
            return
        own = {OBJECT, INVENTORY, inventory.sidecar}
        for number in range(1, inventory.head + 1):
            own |= {f"v{number}/{INVENTORY}", f"v{number}/{inventory.sidecar}"}
            self._check_version(inventory, number)
        manifest = Manifest(INVENTORY, False, find_algorithm(inventory.algorithm), 0)
        self._list_content(0, inventory.manifest)
        for name in files.index.unlisted(files.base, [0]):
            path = name[len(files.base) :]
            if path.startswith(_BESIDE):
                files.findings.warnings.add(path, "another tool put it into the object; it is part of no version")
            elif path not in own:
                self._problems.add(path, "it does not belong to the object: no version has it")
        check_hashes(files, [manifest, *self._list_fixity(inventory)], self.threads, self.progress)
        self._check_head(inventory)

    def _inventory(self, folder: str) -> Inventory:
        """Return the inventory in a folder of the object, whose hash is beside it. Raise Damaged."""
        files, name = self.files, f"{folder}{INVENTORY}"
        data = files.start(name, MOST_BYTES + 1)
        if not data:
            raise Damaged("it is missing")
        try:
            inventory = parsed_inventory(data)
        except BadValue as error:
            raise Damaged(f"it is no inventory: {error}") from error
        digest = hashlib.new(inventory.algorithm, data).hexdigest()
        said = files.start(f"{folder}{inventory.sidecar}", 1000).split()
        if said != [digest.encode(), INVENTORY.encode()]:
            self._problems.add(f"{folder}{inventory.sidecar}", "it does not state the hash of the inventory")
        return inventory

    def _check_version(self, last: Inventory, number: int) -> None:
        """Compare the inventory in a version's folder with the object's."""
        name = f"v{number}/{INVENTORY}"
        if number == last.head:
            if self.files.sha256(name) != self._fingerprint:
                self._problems.add(name, "it is missing, or not the object's inventory")
            return
        if self.files.entry(name) is None:
            self.files.findings.tolerated.add(name, "it is missing, so that the version cannot be compared")
            return
        try:
            then = self._inventory(f"v{number}/")
        except Damaged as error:
            self._problems.add(name, str(error))
            return
        if (then.id, then.head, then.content) != (last.id, number, last.content):
            self._problems.add(name, "it is the inventory of another version or object")
        elif then.algorithm != last.algorithm:
            self.files.findings.tolerated.add(name, "it has another digestAlgorithm, so it was not compared")
        else:
            self._compare(name, then, last)

    def _compare(self, name: str, then: Inventory, last: Inventory) -> None:
        for number in then.versions:
            one, other = then.versions[number]["state"], last.versions[number]["state"]
            if one != other and flattened(one) != flattened(other):
                self._problems.add(name, f"it has other files in version v{number} than the object's inventory")
        now = flattened(last.manifest)
        if any(now.get(path) != digest for path, digest in flattened(then.manifest).items()):
            self._problems.add(name, "it has content that the object's inventory has not")

    def _list_fixity(self, inventory: Inventory) -> Iterator[Manifest]:
        """Yield the lists of further hashes whose algorithms are known, when they are in the index."""
        content = flattened(inventory.manifest)
        for number, (name, paths) in enumerate(sorted(inventory.fixity.items()), 1):
            algorithm = find_algorithm(normalised(name))
            where = f"fixity of {name[:60]}"
            if algorithm is None:
                self.files.findings.warnings.add(INVENTORY, f"its {where} was not checked: the algorithm is not known")
                continue
            try:
                fits = all(algorithm.fits(len(bytes.fromhex(digest))) for digest in paths)
            except ValueError:
                fits = False
            if not fits or not flattened(paths).keys() <= content.keys():
                self._problems.add(INVENTORY, f"its {where} has what is no such hash, or a path that is no content")
                continue
            self._list_content(number, paths)
            yield Manifest(f"{INVENTORY} ({where})", False, algorithm, number)

    def _list_content(self, of: int, paths: Paths) -> None:
        """Add hashes of content files to a list of the index, and the missing files to the findings."""
        files = self.files
        content = iter(flattened(paths).items())
        while batch := dict(islice(content, _AT_ONCE)):
            found = files.index.find_all([f"{files.base}{path}" for path in batch])
            listed = [
                (found[f"{files.base}{path}"][0], bytes.fromhex(digest))
                for path, digest in batch.items()
                if f"{files.base}{path}" in found
            ]
            files.index.list_digests(of, listed)
            for path in batch if not of else ():
                if f"{files.base}{path}" not in found:
                    self._problems.add(path, f"it is missing; {INVENTORY} lists it")

    def _check_head(self, inventory: Inventory) -> None:
        """Check the lists of the last version, if prefect-collect made it; else count its files."""
        files = self.files
        head = HeadContainer(files, files.base, inventory)
        index = self._opened.enter_context(temporary_index())
        head.scan(index, files.findings)
        logical = BagFiles(head, index, files.findings)
        if DESCRIPTION not in head.state or inventory.algorithm != "sha256":
            self.items = index.count
            self.payload = sum(size for _, size in index.sizes())
            return
        check = HeadCheck(logical, self.threads)
        check.state, check.fixity = head.state, _fixity_of(inventory)
        check.run()
        self.ours = True
        self._take(check)
        files.container, files.index, files.base = head, index, ""

    def _take(self, check: SetCheck) -> None:
        self.items, self.payload, self.not_delivered = check.items, check.payload, check.not_delivered
        self.tool, self.has_documents = check.tool, check.has_documents


def _fixity_of(inventory: Inventory) -> dict[str, dict[str, str]]:
    """Return the further hashes of an inventory by algorithm, and by the hash of the content."""
    digests = flattened(inventory.manifest)
    found: dict[str, dict[str, str]] = {}
    for name, paths in inventory.fixity.items():
        known = flattened(paths)
        found[normalised(name)] = {digests[path]: known[path].lower() for path in known.keys() & digests.keys()}
    return found
