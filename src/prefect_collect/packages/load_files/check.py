"""Checks a load file package: every file and hash, and every found item in the load file or the exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.packages.bags.algorithms import find_algorithm
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.hashing import Progress, check_hashes
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.bags.safe_names import check_safe
from prefect_collect.packages.building.agent import AGENT
from prefect_collect.packages.load_files.description import Description, read_description
from prefect_collect.packages.load_files.hash_lists import read_hash_list, report_folders, report_unlisted
from prefect_collect.packages.load_files.lists import DESCRIPTION, SEAL
from prefect_collect.packages.load_files.native_hashes import NativeHashes
from prefect_collect.packages.load_files.plan import volume_name
from prefect_collect.packages.load_files.rows import LoadFileRows

_SMALL: Final = 4 << 20
"""The most bytes of load-file.json, which has a line or two for each column and volume."""


@dataclass(slots=True)
class LoadFileCheck:
    """The check of one package whose files are in an index; call `run` once."""

    files: BagFiles
    threads: int
    progress: Progress | None = None
    items: int = 0
    payload: int = 0
    not_delivered: int = 0
    tool: str = ""
    has_documents: bool = False

    @property
    def ours(self) -> bool:
        """Return True: only prefect-collect makes such packages, so every byte must be as it was written."""
        return True

    @property
    def _problems(self) -> Problems:
        return self.files.findings.problems

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of manifest-sha256.txt; "" if there is none."""
        return self.files.sha256(SEAL)

    def run(self) -> None:
        """Check everything, and add what is wrong to the findings."""
        files = self.files
        check_safe(files)
        files.find_base(DESCRIPTION)
        files.check_names()
        try:
            described = read_description(files.start(DESCRIPTION, _SMALL))
        except Damaged as error:
            self._problems.add(DESCRIPTION, str(error))
            return
        self.tool = described.tool[:200]
        self.has_documents = described.chain_of_custody
        if self.tool.split(" ")[0] != AGENT:
            self._problems.add(DESCRIPTION, f"it names another software than {AGENT}")
        manifest = Manifest(SEAL, False, find_algorithm("sha256"), 0)
        self._read_manifests(manifest, described)
        hashes = NativeHashes(files, described)
        check_hashes(files, [manifest, *hashes.lists()], self.threads, self.progress)
        report_folders(self.files)
        rows = LoadFileRows(files, described, manifest, hashes.unread)
        rows.check()
        self.items, self.payload, self.not_delivered = rows.items, rows.bytes, rows.absent
        self._check_counts(described)

    def _read_manifests(self, manifest: Manifest, described: Description) -> None:
        """Read the manifests of the package and of its volumes; report what is missing, and what no manifest lists."""
        names = [volume["name"] for volume in described.volumes]
        if names != [volume_name(at) for at in range(len(names))] or not names:
            self._problems.add(DESCRIPTION, "its volumes are not VOL001, VOL002 and so on")
            return
        for folder in ("", *(f"{name}/" for name in names)):
            # One of a volume that is missing is reported by the package's own.
            if not read_hash_list(self.files, manifest, SEAL, folder) and not folder:
                self._problems.add(SEAL, "it is missing")
        report_unlisted(self.files, manifest, SEAL)

    def _check_counts(self, described: Description) -> None:
        counted = (self.items, self.not_delivered, self.items + self.not_delivered)
        stated = (described.delivered, described.exceptions, described.found)
        for what, found, said in zip(("delivered items", "exceptions", "found items"), counted, stated, strict=True):
            if found != said:
                self._problems.add(DESCRIPTION, f"it states {said:,} {what}, but there are {found:,}")
