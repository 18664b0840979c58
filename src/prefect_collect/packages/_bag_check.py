"""Checking a bag: completeness both ways, every hash, Payload-Oxum and the item list (RFC 8493, section 3)."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from prefect_collect.packages import _bag_text as text
from prefect_collect.packages._bag import AGENT
from prefect_collect.packages._containers import Container
from prefect_collect.packages._items_check import Digests, check_items_list
from prefect_collect.packages._verification import Damaged, Problems
from prefect_collect.paths import bag_decode, bag_encode

_SHARE_BYTES: Final = 8 << 20
_SHARE_FILES: Final = 256
_SMALL: Final = 1 << 20


@dataclass(slots=True)
class BagCheck:
    """One bag in a container being checked; call `run` once."""

    container: Container
    threads: int
    progress: Callable[[int, int], None] | None = None
    problems: Problems = field(default_factory=Problems)
    base: str = ""
    _index: dict[str, int] = field(default_factory=dict)
    manifests: list[Digests] = field(default_factory=list)
    encoding: str = "utf-8"
    tool: str = ""
    items: int = 0
    payload: int = 0
    not_delivered: int = 0

    @property
    def ours(self) -> bool:
        """Whether the bag says that it was made here, and so must be as it was written to the last byte."""
        return self.tool.split(" ")[0] == AGENT

    def run(self) -> None:
        """Find everything that is wrong."""
        self._find_files()
        if self.number("bagit.txt") is None:
            self.problems.add("bagit.txt", "it is missing: this is no bag")
            return
        self._declaration()
        info = self._info()
        self._read_manifests()
        self._complete()
        self._count(info)
        self._hash()
        self.not_delivered = check_items_list(self)
        if self.ours:
            self._check_form()

    def _find_files(self) -> None:
        names = self.container.names
        tops = sorted(name for name in names if name == "bagit.txt" or name.endswith("/bagit.txt"))
        self.base = min(tops, key=lambda name: name.count("/")).removesuffix("bagit.txt") if tops else ""
        for number, name in enumerate(names):
            if _is_unsafe(name):
                self.problems.add(name, "its name could lead outside of the place it is unpacked to")
            if not name.startswith(self.base):
                if not self.base.startswith(name) or not name.endswith("/"):
                    self.problems.add(name, "it lies outside of the bag's folder")
            elif name.endswith("/"):
                continue
            elif self._index.setdefault(name, number) != number:
                self.problems.add(name, "two entries have this name")

    def number(self, path: str) -> int | None:
        """The file of that path in the bag."""
        return self._index.get(self.base + path)

    def files(self) -> Iterator[tuple[str, int]]:
        """Every file of the bag: its path there, and its number."""
        cut = len(self.base)
        return ((name[cut:], number) for name, number in self._index.items())

    def _whole(self, path: str) -> bytes:
        """A small tag file; what cannot be read is empty here, and reported when it is hashed."""
        number = self.number(path)
        if number is None or self.container.sizes[number] > _SMALL:
            return b""
        try:
            return b"".join(bytes(chunk) for chunk in self.chunks(number))
        except Damaged:
            return b""

    def tag_manifest(self) -> bytes | None:
        """The bytes of tagmanifest-sha256.txt, if it is there."""
        return None if self.number("tagmanifest-sha256.txt") is None else self._whole("tagmanifest-sha256.txt")

    def chunks(self, number: int) -> Iterator[bytes | memoryview]:
        """The bytes of one file. Raises Damaged."""
        return self.container.reader(number, number).chunks(number)

    def _declaration(self) -> None:
        found = text.declaration(self._whole("bagit.txt"))
        if found is None:
            self.problems.add("bagit.txt", "it does not declare a BagIt version and an encoding as RFC 8493 wants it")
            return
        if found[0] not in ("0.93", "0.94", "0.95", "0.96", "0.97", "1.0"):
            self.problems.add("bagit.txt", f"BagIt version {found[0]} is not known")
        self.encoding = found[1]

    def _info(self) -> dict[str, str]:
        try:
            info = text.info_values(text.lines([self._whole("bag-info.txt")], self.encoding))
        except UnicodeDecodeError:
            self.problems.add("bag-info.txt", f"it is not in the declared encoding ({self.encoding})")
            return {}
        self.tool = info.get("bag-software-agent", "")
        return info

    def _read_manifests(self) -> None:
        for path, number in sorted((p, n) for p, n in self.files() if not p.startswith("data/")):
            found = text.MANIFEST.fullmatch(path)
            if found is None:
                continue
            algorithm = found[2].lower().replace("-", "")
            if algorithm not in text.ALGORITHMS:
                self.problems.add(path, f"its algorithm {found[2]} is not supported")
                continue
            size, count = hashlib.new(algorithm, usedforsecurity=False).digest_size, len(self.container.names)
            digests = Digests(path, algorithm, size, bytearray(size * count), bytearray(count))
            self.manifests.append(digests)
            try:
                self._read_manifest(digests, number)
            except UnicodeDecodeError:
                self.problems.add(path, f"it is not in the declared encoding ({self.encoding})")
            except Damaged:
                continue
        if all(manifest.is_for_tags for manifest in self.manifests):
            self.problems.add("manifest", "the bag has no payload manifest that can be checked")

    def _read_manifest(self, digests: Digests, at: int) -> None:
        tags = digests.is_for_tags
        for count, line in enumerate(text.lines(self.chunks(at), self.encoding), 1):
            parsed = text.manifest_line(line, digests.size)
            if parsed is None:
                if line.strip():
                    self.problems.add(digests.name, f"line {count} is malformed")
                continue
            path, number = self._listed(parsed[1])
            if path.startswith("data/") == tags:
                self.problems.add(digests.name, f"line {count} lists {path!r}, which does not belong there")
            elif number is None:
                self.problems.add(path, f"it is missing; {digests.name} lists it")
            elif digests.listed[number]:
                self.problems.add(path, f"{digests.name} lists it twice")
            else:
                digests.listed[number] = 1
                digests.values[number * digests.size : (number + 1) * digests.size] = parsed[0]

    def _listed(self, written: str) -> tuple[str, int | None]:
        """Path and number of the file that a manifest's line means.

        Other baggers leave "%" as it is, and some write "*" or "./" before a path as md5sum does.
        """
        decoded = bag_decode(written)
        for path in (decoded, written, decoded.removeprefix("*").removeprefix("./")):
            if (number := self.number(path)) is not None:
                return path, number
        return decoded, None

    def _complete(self) -> None:
        payload = [manifest for manifest in self.manifests if not manifest.is_for_tags]
        tags = [manifest for manifest in self.manifests if manifest.is_for_tags]
        for path, number in self.files():
            if path.startswith("data/"):
                for manifest in payload:
                    if not manifest.listed[number]:
                        self.problems.add(path, f"{manifest.name} does not list it")
            elif self.ours and not path.startswith("tagmanifest-"):
                for manifest in tags:
                    if not manifest.listed[number]:
                        self.problems.add(path, f"{manifest.name} does not list it")
        if not self._has_payload_folder():
            self.problems.add("data/", "the payload folder is missing")
        # RFC 8493 leaves them out at will; in ours they prove that no tag file was changed or taken away.
        proven = {manifest.algorithm for manifest in tags if self.ours}
        payload = payload if self.ours else []
        for name in sorted({f"tagmanifest-{m.algorithm}.txt" for m in payload if m.algorithm not in proven}):
            self.problems.add(name, "it is missing, so nothing proves the files beside the payload")

    def _has_payload_folder(self) -> bool:
        if not self.container.has_folders or f"{self.base}data/" in self.container.names:
            return True
        return any(path.startswith("data/") for path, _ in self.files())

    def _count(self, info: dict[str, str]) -> None:
        numbers = [number for path, number in self.files() if path.startswith("data/")]
        self.items, self.payload = len(numbers), sum(self.container.sizes[number] for number in numbers)
        stated, found = info.get("payload-oxum"), f"{self.payload}.{self.items}"
        if stated is not None and stated != found:
            self.problems.add("bag-info.txt", f"its Payload-Oxum is {stated}, but the payload is {found}")

    def _hash(self) -> None:
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: deque[tuple[int, int, Future[tuple[Problems, int]]]] = deque()
            for first, last in self._shares():
                waiting.append((first, last, pool.submit(self._hash_share, first, last)))
                if len(waiting) > 4 * self.threads:
                    self._collect(*waiting.popleft())
            while waiting:
                self._collect(*waiting.popleft())

    def _collect(self, first: int, last: int, future: Future[tuple[Problems, int]]) -> None:
        found, size = future.result()
        for problem in found.kept:
            self.problems.add(problem.path, problem.what)
        if self.progress is not None:
            self.progress(last - first + 1, size)

    def _shares(self) -> Iterator[tuple[int, int]]:
        first, size = 0, 0
        for number, more in enumerate(self.container.sizes):
            size += more
            if size >= _SHARE_BYTES or number - first + 1 >= _SHARE_FILES:
                yield first, number
                first, size = number + 1, 0
        if first < len(self.container.sizes):
            yield first, len(self.container.sizes) - 1

    def _hash_share(self, first: int, last: int) -> tuple[Problems, int]:
        problems, size, reader = Problems(), 0, self.container.reader(first, last)
        for number in range(first, last + 1):
            listing = [manifest for manifest in self.manifests if manifest.listed[number]]
            if not listing and not self.container.reads_all:
                continue
            hashes = {m.algorithm: hashlib.new(m.algorithm, usedforsecurity=False) for m in listing}
            path = self.container.names[number].removeprefix(self.base)
            try:
                for chunk in reader.chunks(number):
                    size += len(chunk)
                    for digest in hashes.values():
                        digest.update(chunk)
            except Damaged as error:
                problems.add(path, str(error))
                continue
            for manifest in listing:
                if hashes[manifest.algorithm].digest() != manifest.of(number):
                    problems.add(path, f"its bytes are not those that {manifest.name} lists")
        if self.ours:
            for problem in reader.form.kept:
                problems.add(problem.path.removeprefix(self.base), problem.what)
        return problems, size

    def _check_form(self) -> None:
        """What only packages made here have to keep: the form of tag manifests, and no folders but those of files."""
        for problem in self.container.form.kept:
            self.problems.add(problem.path.removeprefix(self.base), problem.what)
        for manifest in self.manifests:
            if manifest.is_for_tags:
                listed = sorted((path, number) for path, number in self.files() if manifest.listed[number])
                written = [f"{manifest.of(number).hex()}  {bag_encode(path)}\n" for path, number in listed]
                if self._whole(manifest.name) != "".join(written).encode():
                    self.problems.add(manifest.name, "it is not as it was written")
        if self.container.reads_all:
            allowed = {f"{self.base}data/"} if not self.items else set()
            for name in self.container.names:
                if name.endswith("/") and name not in allowed:
                    self.problems.add(name, "it is a folder that does not belong there")


def _is_unsafe(name: str) -> bool:
    parts = name.removesuffix("/").split("/")
    drive = len(name) > 1 and name[1] == ":" and name[0].isalpha()
    return drive or "\0" in name or "\\" in name or any(part in ("", ".", "..") for part in parts)


def default_threads() -> int:
    """As many as there are processors, at most 8."""
    return min(8, os.cpu_count() or 1)
