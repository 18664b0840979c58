"""Checks a bag: completeness both ways, every hash, Payload-Oxum and the item list (RFC 8493, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from prefect_collect.archive.problems import Damaged
from prefect_collect.formats.bag_profile import BagProfile
from prefect_collect.packages.bags import text
from prefect_collect.packages.bags.fetch_list import read_fetch_list
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.hashing import check_hashes
from prefect_collect.packages.bags.info import KEPT, BagInfo, check_oxum, info_name, read_info
from prefect_collect.packages.bags.manifests import Manifests
from prefect_collect.packages.bags.pages_beside import MadePages, PagesBeside
from prefect_collect.packages.bags.profile_check import check_profile, labels_of
from prefect_collect.packages.bags.safe_names import check_safe
from prefect_collect.packages.bags.text import bag_encode
from prefect_collect.packages.building.agent import AGENT
from prefect_collect.packages.contents.name_keys import unpack
from prefect_collect.packages.problems import Findings
from prefect_collect.packages.seals import BAG_SEAL

_SMALL: Final = 1 << 20


@dataclass(slots=True)
class BagCheck:
    """The check of one bag whose files are in an index, also by a BagIt `profile`; call `run` once."""

    bag: BagFiles
    threads: int
    progress: Callable[[int, int], None] | None = None
    info: BagInfo = field(default_factory=BagInfo)
    items: int = 0
    payload: int = 0
    not_delivered: int = 0
    profile: BagProfile | None = None
    made: MadePages = field(default_factory=MadePages)

    @property
    def findings(self) -> Findings:
        """The problems and warnings found."""
        return self.bag.findings

    @property
    def ours(self) -> bool:
        """Return whether the bag states that it was made here, so that every byte must be as it was written."""
        return self.tool.split(" ")[0] == AGENT

    @property
    def tool(self) -> str:
        """The software that made the bag, as it states."""
        return self.info.tool

    @property
    def has_documents(self) -> bool:
        """Return whether the bag states that it has chain of custody documents."""
        return "chain-of-custody" in self.info.values

    def run(self) -> None:
        """Check everything, and add what is wrong to the findings."""
        bag, problems = self.bag, self.findings.problems
        check_safe(bag)
        found = bag.find_base()
        bag.check_names()
        if not found:
            problems.add("bagit.txt", f"it is missing: this is not a bag{bag.declaration_hint()}")
            return
        try:
            bag.declared = text.declaration(bag.start("bagit.txt", text.LONGEST_DECLARATION + 1), self.findings)
        except Damaged as error:
            problems.add("bagit.txt", f"it was not read, so that the bag is judged as BagIt 1.0: {error}")
        info_file = self._read_info()
        with PagesBeside(bag, self.threads if self.ours and self.has_documents else 0) as pages:
            self._check_files(info_file)
            self.made = pages.made()

    def _check_files(self, info_file: str) -> None:
        bag, problems = self.bag, self.findings.problems
        manifests = Manifests(bag)
        manifests.read()
        manifests.report_missing(read_fetch_list(bag, manifests))
        manifests.check_complete()
        if not bag.has_payload_folder():
            problems.add("data/", "the payload folder is missing")
        self._check_tags(manifests)
        self.payload, self.items = bag.payload()
        check_oxum(self.info, info_file, (self.payload, self.items), bag.declared, self.findings)
        if self.profile is not None:
            check_profile(bag, self.profile, self.info)
        own = Findings()

        def check_lists(pause: Callable[[], None]) -> None:
            before, bag.findings = bag.findings, own
            try:
                self._check_lists(manifests, pause)
            finally:
                bag.findings = before

        check_hashes(bag, manifests.all, self.threads, self.progress, [check_lists])
        bag.findings.take(own)

    def _check_lists(self, manifests: Manifests, pause: Callable[[], None]) -> None:
        """Check the lists of items, and the form of the package; call `pause` now and then."""
        from prefect_collect import freed_memory
        from prefect_collect.packages.bags.items_check import check_items_list
        from prefect_collect.packages.bags.table_check import check_items_table

        bag = self.bag
        in_group = {"bag-group-identifier", "bag-count"} <= self.info.values.keys()
        self.not_delivered = check_items_list(bag, manifests.payload, pause, ours=self.ours, in_group=in_group)
        if self.ours:
            freed_memory.give_back()
            with suppress(Damaged):  # reported when it was hashed
                check_items_table(bag, pause)
            freed_memory.give_back()
            self._check_form(manifests)
        else:
            bag.check_system_files()

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of tagmanifest-sha256.txt; "" if there is none."""
        return self.bag.sha256(BAG_SEAL)

    def _read_info(self) -> str:
        """Read bag-info.txt, or package-info.txt of the first drafts; return its name."""
        name = info_name(self.bag.declared.version)
        for candidate in dict.fromkeys((name, "bag-info.txt")):
            entry = self.bag.entry(candidate)
            if entry is not None:
                lines = text.lines(self.bag.chunks(entry), self.bag.declared.encoding)
                kept = KEPT if self.profile is None else KEPT | labels_of(self.profile)
                self.info = read_info(candidate, lines, self.bag.declared, self.findings, kept)
                return candidate
        return name

    def _check_tags(self, manifests: Manifests) -> None:
        """Check the tag manifests. RFC 8493 makes them optional; in bags made here they prove every tag file."""
        bag, problems = self.bag, self.findings.problems
        if not self.ours:
            unproven = list(islice(manifests.unproven_tags(), 2))
            if unproven:
                more = " and others" if len(unproven) > 1 else ""
                what = "no tag manifest that can be checked lists it, so nothing proves its bytes"
                self.findings.warnings.add(f"{unproven[0]}{more}", what)
            return
        for manifest in manifests.tags:
            for name in bag.index.unlisted(f"{bag.base}data/", [manifest.number], inside=False):
                path = name.removeprefix(bag.base)
                if name.startswith(bag.base) and not path.startswith("tagmanifest-"):
                    problems.add(path, f"{manifest.name} does not list it")
        proven = {manifest.algorithm for manifest in manifests.tags}
        for manifest in manifests.payload:
            if manifest.algorithm not in proven:
                problems.add(f"tag{manifest.name}", "it is missing, so nothing proves the files beside the payload")

    def _check_form(self, manifests: Manifests) -> None:
        """Check what only packages made here must keep: the form of tag manifests, and no folders without files."""
        bag, problems = self.bag, self.findings.problems
        for manifest in manifests.tags:
            written = "".join(
                f"{digest}  {bag_encode(path)}\n" for path, digest in sorted(self._listed(manifest.number))
            )
            with suppress(Damaged):  # reported when it was hashed
                if bag.start(manifest.name, _SMALL) != written.encode():
                    problems.add(manifest.name, "it is not as it was written")
        if bag.container.reads_all:
            allowed = {f"{bag.base}data/"} if not self.items else set()
            rows = bag.index.query("SELECT name FROM file WHERE substr(name, -1) = CAST('/' AS BLOB)")
            for name in (unpack(row[0]) for row in rows):
                if name not in allowed:
                    problems.add(name, "it is a folder that does not belong there")

    def _listed(self, number: int) -> Iterator[tuple[str, str]]:
        """Yield what a tag manifest lists; those made here have no more than ten lines."""
        rows = self.bag.index.query(
            "SELECT file.name, digest FROM listed JOIN file USING (number) WHERE list = ? LIMIT 1000", number
        )
        return ((unpack(name)[len(self.bag.base) :], digest.hex()) for name, digest in rows)
