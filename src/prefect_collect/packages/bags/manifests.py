"""Reads manifests and tag manifests (RFC 8493, sections 2.1.3, 2.2.1 and 2.4), and finds what they leave out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from prefect_collect.archive.problems import MOST_PROBLEMS, MOST_TEXT, Damaged, shown
from prefect_collect.packages.bags import text
from prefect_collect.packages.bags.algorithms import Algorithm, find_algorithm, normalised
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.info import add_bom
from prefect_collect.packages.bags.paths_listed import ODD, Listed, find_listed
from prefect_collect.packages.contents.index import Entry
from prefect_collect.packages.problems import Tally

_NAME: Final = re.compile(r"(tag)?manifest-(.+)\.txt", re.DOTALL)
_LINE: Final = re.compile(r"(\\?)([0-9A-Fa-f]+)[ \t]+(.+)", re.DOTALL)
_Line = tuple[int, str, bytes, str]
"""Of a line: its number, md5sum's escape, the checksum, and the path as it is written."""

_MOST: Final = 64
"""The most manifests that are read: each is compared with every file."""

_LINES: Final = 500

_ODD_LINES: Final = ODD | {"empty": "lines are empty"}
_TWICE: Final = {"twice": "files are listed twice with the same checksum"}


@dataclass(slots=True)
class Manifest:
    """One manifest; `number` is that of its list in the index. Without an algorithm its checksums prove nothing."""

    name: str
    is_for_tags: bool
    algorithm: Algorithm | None
    number: int
    is_whole: bool = True
    """Whether it was read to its end."""

    @property
    def proves(self) -> bool:
        """Return whether its checksums can be checked."""
        return self.algorithm is not None


@dataclass(slots=True)
class Missing:
    """Files that manifests list but that do not exist, with those manifests; as many as problems are kept."""

    lists: dict[str, list[Manifest]] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    more: int = 0
    text: int = 0

    def add(self, path: str, manifest: Manifest, hint: str) -> None:
        """Add one."""
        if path not in self.lists and (len(self.lists) >= MOST_PROBLEMS or self.text > MOST_TEXT):
            self.more += 1
            return
        self.text += len(path)
        self.lists.setdefault(path, []).append(manifest)
        if hint:
            self.hints[path] = hint


@dataclass(slots=True)
class Manifests:
    """All manifests of a bag."""

    bag: BagFiles
    all: list[Manifest] = field(default_factory=list)
    missing: Missing = field(default_factory=Missing)

    @property
    def payload(self) -> list[Manifest]:
        """The payload manifests."""
        return [manifest for manifest in self.all if not manifest.is_for_tags]

    @property
    def tags(self) -> list[Manifest]:
        """The tag manifests."""
        return [manifest for manifest in self.all if manifest.is_for_tags]

    def read(self) -> None:
        """Read all manifests in the bag's folder."""
        problems, tolerated = self.bag.findings.problems, self.bag.findings.tolerated
        for name in self.bag.tag_names():
            found = _NAME.fullmatch(name)
            entry = self.bag.entry(name) if found else None
            if found is None or entry is None:
                continue
            if len(self.all) >= _MOST:
                problems.add(name, f"it was not read: the bag has more than {_MOST} manifests")
                continue
            plain = normalised(found[2])
            if plain != found[2]:
                tolerated.add(name, f"BagIt names it {found[1] or ''}manifest-{plain}.txt (RFC 8493, section 2.4)")
            manifest = Manifest(name, bool(found[1]), find_algorithm(plain), len(self.all))
            other = next((m for m in self.all if self._is_same(m, manifest, plain)), None)
            if other is not None:
                problems.add(name, f"it was not read: {other.name} is for the same algorithm")
                continue
            if not manifest.proves:
                tolerated.add(name, f"its algorithm {found[2]} is not supported, so no checksum in it was checked")
            self.all.append(manifest)
            self._read(manifest, entry)
        if not any(manifest.proves for manifest in self.payload):
            problems.add("manifest", "the bag has no payload manifest that can be checked")

    @staticmethod
    def _is_same(one: Manifest, other: Manifest, plain: str) -> bool:
        found = _NAME.fullmatch(one.name)
        return one.is_for_tags == other.is_for_tags and found is not None and normalised(found[2]) == plain

    def _read(self, manifest: Manifest, entry: Entry) -> None:
        tally, at = Tally(), 0
        lines = enumerate(text.lines(self.bag.chunks(entry), self.bag.declared.encoding), 1)
        try:
            while batch := list(islice(lines, _LINES)):
                if at == 0 and batch[0][1].startswith(text.BOM):
                    add_bom(manifest.name, self.bag.declared, self.bag.findings)
                    batch[0] = (1, batch[0][1][1:])
                at = batch[-1][0]
                self._take(manifest, batch, tally)
        except Damaged as error:
            manifest.is_whole = False
            self.bag.findings.problems.add(manifest.name, text.cut_short(error))
        findings = self.bag.findings
        tally.report(manifest.name, findings.tolerated, _ODD_LINES)
        doubled = findings.problems if self.bag.declared.is_final else findings.tolerated
        tally.report(manifest.name, doubled, _TWICE)

    def _take(self, manifest: Manifest, batch: list[tuple[int, str]], tally: Tally) -> None:
        parsed: list[_Line] = []
        for at, line in batch:
            found = _LINE.fullmatch(line)
            if found is None or len(found[2]) % 2 or not self._fits(manifest, len(found[2]) // 2):
                self._malformed(manifest, at, line, found, tally)
            else:
                parsed.append((at, found[1], bytes.fromhex(found[2]), found[3]))
        rows, names = self._plain(manifest, parsed) or self._judge_all(manifest, parsed, tally)
        for number, old, new in self.bag.index.list_digests(manifest.number, rows):
            path = names.get(number, "")
            if old == new:
                tally.add("twice", path)
            else:
                self.bag.findings.problems.add(path, f"{manifest.name} lists it twice, with different checksums")

    def _plain(self, manifest: Manifest, parsed: list[_Line]) -> tuple[list[tuple[int, bytes]], dict[int, str]] | None:
        """Return numbers with digests, and names, if all lines are written in the usual form; else None."""
        bag = self.bag
        start = "" if manifest.is_for_tags else "data/"
        if any(
            escape or "%" in path or path.endswith("/") or not path.startswith(start) for _, escape, _, path in parsed
        ):
            return None
        if manifest.is_for_tags and any(path.startswith("data/") for _, _, _, path in parsed):
            return None
        paths = [path for _, _, _, path in parsed]
        found = bag.index.find_all([bag.base + path for path in paths])
        if len(found) < len(set(paths)):
            return None
        numbers = [found[bag.base + path][0] for path in paths]
        digests = (digest for _, _, digest, _ in parsed)
        return list(zip(numbers, digests, strict=True)), dict(zip(numbers, paths, strict=True))

    def _judge_all(
        self, manifest: Manifest, parsed: list[_Line], tally: Tally
    ) -> tuple[list[tuple[int, bytes]], dict[int, str]]:
        """Do as `_plain` for lines of any form, and report lines that list what they may not."""
        listed = find_listed(self.bag, [(escape, written) for _, escape, _, written in parsed])
        rows: list[tuple[int, bytes]] = []
        names: dict[int, str] = {}
        for (at, _, digest, _), target in zip(parsed, listed, strict=True):
            number = self._judged(manifest, at, target, tally)
            if number is not None:
                rows.append((number, digest))
                names[number] = target.path
        return rows, names

    def _malformed(self, manifest: Manifest, at: int, line: str, found: re.Match[str] | None, tally: Tally) -> None:
        if not line.strip():
            tally.add("empty", f"line {at:,}")
            return
        what = f"line {at:,} is malformed"
        if found is not None and manifest.algorithm is not None and manifest.algorithm.size:
            what += f": a checksum of its algorithm has {2 * manifest.algorithm.size} digits, this has {len(found[2])}"
        elif found is None:
            what += ": it is not a checksum in hexadecimal digits, spaces, and a path"
        self.bag.findings.problems.add(manifest.name, what)

    @staticmethod
    def _fits(manifest: Manifest, size: int) -> bool:
        return manifest.algorithm is None or manifest.algorithm.fits(size)

    def _judged(self, manifest: Manifest, at: int, target: Listed, tally: Tally) -> int | None:
        """Return the number of the file that a line means, if it may list that file."""
        problems, path = self.bag.findings.problems, target.path
        if target.wrong:
            problems.add(manifest.name, f"line {at:,} {target.wrong}: {shown(path[:200])}")
        elif path.startswith("data/") == manifest.is_for_tags:
            kind = "no payload" if manifest.is_for_tags else "only payload (data/…)"
            problems.add(manifest.name, f"line {at:,} lists {shown(path[:200])!r}, but may list {kind}")
        elif target.number is None:
            self.missing.add(path, manifest, target.hint)
        else:
            for kind in target.odd:
                tally.add(kind, f"line {at:,}")
            return target.number
        return None

    def check_complete(self) -> None:
        """Find payload files that manifests leave out, and tag files that no checksum proves."""
        bag = self.bag
        problems = bag.findings.problems
        if bag.declared.is_final:
            for manifest in self.payload:
                if manifest.is_whole:
                    for path in bag.unlisted([manifest.number]):
                        problems.add(path, f"{manifest.name} does not list it")
        elif self.payload and all(manifest.is_whole for manifest in self.payload):
            # Before BagIt 1.0 the payload is what the manifests list together.
            numbers = [manifest.number for manifest in self.payload]
            names = self.payload[0].name if len(numbers) == 1 else "no payload manifest"
            for path in bag.unlisted(numbers):
                problems.add(path, f"{names} {'does not list it' if len(numbers) == 1 else 'lists it'}")
            self._check_proven()
        self._check_tag_manifests()

    def _check_proven(self) -> None:
        """Find payload files that only manifests of unknown algorithms list."""
        known = [manifest.number for manifest in self.payload if manifest.proves]
        if not known or len(known) == len(self.payload):
            return
        unlisted = set(islice(self.bag.unlisted([m.number for m in self.payload]), MOST_PROBLEMS))
        for path in self.bag.unlisted(known):
            if path not in unlisted:
                what = "only manifests whose algorithm is not supported list it, so nothing proves its bytes"
                self.bag.findings.problems.add(path, what)

    def _check_tag_manifests(self) -> None:
        bag = self.bag
        for manifest in self.tags:
            if not bag.declared.is_final or not manifest.is_whole:
                continue
            for name in self._unlisted_of(manifest, self.payload):
                bag.findings.problems.add(name, f"{manifest.name} does not list it, and must list every manifest")
            for name in self._listed_of(manifest, self.tags):
                bag.findings.problems.add(manifest.name, f"it lists {name}, and may list no tag manifest")

    def _listed_of(self, manifest: Manifest, others: list[Manifest]) -> Iterator[str]:
        for other in others:
            entry = self.bag.entry(other.name)
            if entry is not None and self.bag.index.digests(manifest.number, [entry.number]):
                yield other.name

    def _unlisted_of(self, manifest: Manifest, others: list[Manifest]) -> Iterator[str]:
        listed = set(self._listed_of(manifest, others))
        return (other.name for other in others if other.name not in listed)

    def unproven_tags(self) -> Iterator[str]:
        """Yield tag files (no tag manifests) that no tag manifest with a supported algorithm lists."""
        numbers = [manifest.number for manifest in self.tags if manifest.proves]
        own = {manifest.name for manifest in self.tags}
        for name in self.bag.index.unlisted(f"{self.bag.base}data/", numbers, inside=False):
            path = name[len(self.bag.base) :]
            if name.startswith(self.bag.base) and path not in own:
                yield path

    def report_missing(self, holes: dict[str, str]) -> None:
        """Report the missing files: as to be fetched, or as missing."""
        problems = self.bag.findings.problems
        for path, lists in self.missing.lists.items():
            names = ", ".join(dict.fromkeys(manifest.name for manifest in lists))
            if path in holes:
                problems.add(path, f"it is to be fetched from {holes[path]} (fetch.txt); verifying fetches nothing")
            else:
                verb = "list" if len(set(map(id, lists))) > 1 else "lists"
                hint = self.missing.hints.get(path, "")
                problems.add(path, f"it is missing; {names} {verb} it{hint}")
        problems.more += self.missing.more
        guessed = self.bag.guessed() if self.missing.lists else 0
        if guessed:
            what = f"names of {guessed:,} entries are no UTF-8 and were read as code page 437, so that a file that is"
            problems.add("package", f"{what} missing may be there under a misread name")
