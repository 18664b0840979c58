"""Checks a file set: every file and hash, and every found item in the package or the exceptions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.packages.bags.algorithms import find_algorithm
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.hashing import Progress, check_hashes
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.bags.safe_names import check_safe
from prefect_collect.packages.building.agent import AGENT
from prefect_collect.packages.file_sets.items import ItemsCheck
from prefect_collect.packages.file_sets.lists import SEAL, VERSION, parsed_description
from prefect_collect.packages.load_files.hash_lists import read_hash_list, report_folders, report_unlisted
from prefect_collect.untrusted.bounded_json import MAX_BYTES, BadValue


class SetCheck(ABC):
    """The check of one package whose files are in an index; call `run` once."""

    description: ClassVar[str]
    """The file that says how the package is made."""

    def __init__(self, files: BagFiles, threads: int, progress: Progress | None = None) -> None:
        self.files, self.threads, self.progress = files, threads, progress
        self.items = self.payload = self.not_delivered = 0
        self.tool, self.has_documents = "", False

    @property
    def ours(self) -> bool:
        """Return True: only prefect-collect makes such packages, so every byte must be as it was written."""
        return True

    @property
    def problems(self) -> Problems:
        """What is wrong with the package."""
        return self.files.findings.problems

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of manifest-sha256.txt; "" if there is none."""
        return self.files.sha256(SEAL)

    def run(self) -> None:
        """Check everything, and add what is wrong to the findings."""
        files = self.files
        check_safe(files)
        files.find_base(self.description)
        files.check_names()
        try:
            said = self._described()
            items = self.items_check(said)
        except Damaged as error:
            self.problems.add(self.description, str(error))
            return
        manifest = Manifest(SEAL, False, find_algorithm("sha256"), 0)
        if not read_hash_list(files, manifest, SEAL):
            self.problems.add(SEAL, "it is missing")
        report_unlisted(files, manifest, SEAL)
        with items.opened():
            self.check_bytes(manifest, items.hash_lists())
            report_folders(files)
            items.run(manifest)
        self.items, self.payload, self.not_delivered = items.items, items.bytes, items.absent
        counted = (items.items, items.absent, items.items + items.absent)
        for what, found in zip(("delivered", "exceptions", "found"), counted, strict=True):
            if found != said[what]:
                self.problems.add(self.description, f"it states {said[what]:,} items {what}, but there are {found:,}")

    def check_bytes(self, manifest: Manifest, more: Sequence[Manifest]) -> None:
        """Compare the bytes of every file with the manifest, and with `more` lists of hashes."""
        check_hashes(self.files, [manifest, *more], self.threads, self.progress)

    def _described(self) -> dict[str, Any]:
        """Return what the description says. Raise Damaged."""
        try:
            said = parsed_description(self.files.start(self.description, MAX_BYTES + 1))
        except BadValue as error:
            raise Damaged(str(error)) from error
        if said.get("version") != VERSION:
            raise Damaged(f"it is not of version {VERSION}, the only one that is known")
        counts = [said.get(name) for name in ("found", "delivered", "exceptions")]
        if not all(is_count(count) for count in counts) or not isinstance(said.get("tool"), str):
            raise Damaged("it does not state counts and tool as it should")
        self.tool, self.has_documents = said["tool"][:200], said.get("chain_of_custody") is True
        if self.tool.split(" ")[0] != AGENT:
            self.problems.add(self.description, f"it names another software than {AGENT}")
        return said

    @abstractmethod
    def items_check(self, said: Mapping[str, Any]) -> ItemsCheck:
        """Return the check of the items of a package with this description. Raise Damaged."""


def is_count(value: object) -> bool:
    """Return whether a value is a whole number that is not negative."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
