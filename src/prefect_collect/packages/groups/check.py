"""Checks a group of bags: each bag, that the lists over all agree with them, and that nothing else is there."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.formats.bag_profile import BagProfile
from prefect_collect.packages.bags.check import BagCheck
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.hashing import Progress
from prefect_collect.packages.bags.items_check import check_list_over_all
from prefect_collect.packages.bags.safe_names import check_safe
from prefect_collect.packages.bags.table_check import check_items_table
from prefect_collect.packages.building.agent import AGENT
from prefect_collect.packages.building.custody_documents import ITEM_LIST, count_items
from prefect_collect.packages.contents.index import temporary_index
from prefect_collect.packages.contents.opening import open_file
from prefect_collect.packages.groups.build import DESCRIPTION, SEAL, VERSION
from prefect_collect.packages.groups.lists import REQUIRED, GroupLists, opened_lists
from prefect_collect.packages.groups.volumes import MOST
from prefect_collect.packages.problems import Findings
from prefect_collect.untrusted.bounded_json import BadValue, fields, flag, list_of, parse_json, text, whole
from prefect_collect.untrusted.bounded_parquet import BadParquet

_SMALL: Final = 8 << 20
"""The most bytes of group.json."""

_BAG: Final = fields(
    {
        "file": text(300), "folder": text(300), "size": whole(0), "fingerprint": text(64), "items": whole(0),
        "bytes": whole(0),
    }
)  # fmt: skip
_GROUP: Final = fields(
    {
        "bag_group": whole(1), "tool": text(200), "identifier": text(200), "chain_of_custody": flag,
        "bags": list_of(_BAG),
    }
)  # fmt: skip
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([^/\n]+)")


@dataclass(slots=True)
class GroupCheck:
    """The check of one group whose files are in an index, its bags also by a BagIt `profile`; call `run` once."""

    files: BagFiles
    threads: int
    progress: Progress | None = None
    items: int = 0
    payload: int = 0
    not_delivered: int = 0
    tool: str = ""
    has_documents: bool = False
    profile: BagProfile | None = None
    _lists: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Return True: only prefect-collect makes such groups, so every byte must be as it was written."""
        return True

    @property
    def _problems(self) -> Problems:
        return self.files.findings.problems

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the seal; "" if there is none."""
        return self.files.sha256(SEAL)

    def run(self) -> None:
        """Check everything, and add what is wrong to the findings."""
        files = self.files
        check_safe(files)
        files.find_base(DESCRIPTION)
        files.check_names()
        try:
            group = parse_json(files.start(DESCRIPTION, _SMALL), _GROUP)
        except (Damaged, BadValue) as error:
            self._problems.add(DESCRIPTION, f"it cannot be read as the list of a group's bags: {error}")
            return
        self.tool, self.has_documents = group["tool"], group["chain_of_custody"]
        bags: list[dict[str, Any]] = group["bags"]
        if group["bag_group"] != VERSION or not 1 <= len(bags) <= MOST or self.tool.split(" ")[0] != AGENT:
            self._problems.add(DESCRIPTION, f"it is not of version {VERSION}, names another software, or lists no bags")
            return
        self._check_seal()
        self._check_others({bag["file"] for bag in bags})
        with opened_lists(files, self._lists) as lists:
            for number, bag in enumerate(bags, 1):
                self._check_bag(bag, group["identifier"], f"{number} of {len(bags)}", lists)
            lists.finish()
            self._check_items(lists.items)

    def _check_seal(self) -> None:
        """Compare each list with the hash that the seal has of it."""
        try:
            lines = self.files.start(SEAL, _SMALL).decode("ascii", "replace").splitlines()
        except Damaged as error:
            self._problems.add(SEAL, str(error))
            return
        for line in lines:
            found = _LINE.fullmatch(line)
            if found is None or found[2] in self._lists:
                self._problems.add(SEAL, "it is not as it was written")
                return
            self._lists[found[2]] = found[1]
        if [*self._lists] != sorted(self._lists) or DESCRIPTION not in self._lists:
            self._problems.add(SEAL, "it is not as it was written")
        for name in REQUIRED:
            if name not in self._lists:
                self._problems.add(name, f"{SEAL} does not list it, but every group has it")
        for name, sha256 in self._lists.items():
            if self.files.entry(name) is None:
                self._problems.add(name, f"it is missing; {SEAL} lists it")
            elif self.files.sha256(name) != sha256:
                self._problems.add(name, f"its bytes are not those that {SEAL} lists")

    def _check_others(self, bags: set[str]) -> None:
        known = {SEAL, *self._lists, *bags}
        for name, _ in self.files.index.sizes():
            path = name.removeprefix(self.files.base)
            if name.startswith(self.files.base) and path and path not in known:
                self._problems.add(path, "it is no part of the group")

    def _check_bag(self, bag: dict[str, Any], identifier: str, count: str, lists: GroupLists) -> None:
        """Check one bag, and compare its lists with those over all; its problems name the bag's file."""
        file = bag["file"]
        entry = self.files.entry(file)
        if entry is None:
            self._problems.add(file, f"this bag is missing, with {bag['items']:,} items")
            return
        findings = Findings()
        try:
            source = self.files.container.opened(entry)
            try:
                container = open_file(source)
                with temporary_index() as index:
                    if not container.scan(index, findings):
                        raise Damaged("its list of files cannot be read")
                    index.finish()
                    check = BagCheck(BagFiles(container, index, findings), self.threads, self.progress)
                    check.profile = self.profile
                    check.run()
                    self._compare(bag, check, identifier, count, lists)
            finally:
                source.close()
        except Damaged as error:
            findings.problems.add("package", str(error))
        problems, warnings = findings.judged(ours=True)
        for kept, into in ((problems, self._problems), (warnings, self.files.findings.warnings)):
            for problem in kept:
                into.add(f"{file}: {problem.path}", problem.what)

    def _compare(self, bag: dict[str, Any], check: BagCheck, identifier: str, count: str, lists: GroupLists) -> None:
        """Compare a bag with what the group says of it."""
        problems, files = check.findings.problems, check.bag
        self.items += check.items
        self.payload += check.payload
        stated = (bag["fingerprint"], bag["items"], bag["bytes"], bag["size"], f"{bag['folder']}/")
        entry = self.files.entry(bag["file"])
        size = -1 if entry is None else entry.size
        if (check.fingerprint(), check.items, check.payload, size, files.base) != stated:
            problems.add(
                "package", f"it is not the bag that {DESCRIPTION} lists: its fingerprint, counts or size differ"
            )
        said = (check.info.values.get("bag-group-identifier"), check.info.values.get("bag-count"))
        if said != ([identifier], [count]):
            problems.add("bag-info.txt", f"it does not say that this is bag {count} of the group {identifier}")
        if not check.ours:
            problems.add("bag-info.txt", f"it does not say that {AGENT} made the bag")
        lists.compare(files, bag["folder"])

    def _check_items(self, file: Any) -> None:
        """Check the list of all items in itself and by the bags' counts, and the table of it that users read."""
        if file is None:
            return  # reported as missing or changed
        try:
            counted = count_items(file)
            check_list_over_all(self.files, file)
        except BadParquet as error:
            self._problems.add(ITEM_LIST, f"it cannot be read: {error}")
            return
        self.not_delivered = counted.listed - counted.delivered
        if (counted.delivered, counted.bytes) != (self.items, self.payload):
            self._problems.add(
                ITEM_LIST,
                f"it lists {counted.delivered:,} delivered items of {counted.bytes:,} bytes, but the bags hold "
                f"{self.items:,} of {self.payload:,} bytes",
            )
        with suppress(Damaged):  # reported by the seal
            check_items_table(self.files)
