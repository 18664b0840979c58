"""Comparing a package's own list of items with what is in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from prefect_collect.packages._bag import DELIVERED, ITEMS
from prefect_collect.packages._containers import Container
from prefect_collect.packages._verification import Damaged, Problems


@dataclass(slots=True)
class Digests:
    """What one kind of manifest says: a digest for each file that it lists."""

    name: str
    algorithm: str
    size: int
    values: bytearray
    listed: bytearray

    def of(self, number: int) -> bytes:
        """The digest of that file."""
        return bytes(self.values[number * self.size : (number + 1) * self.size])

    @property
    def is_for_tags(self) -> bool:
        """Whether it is a tag manifest."""
        return self.name.startswith("tag")


class Bag(Protocol):
    """What is known of the bag so far."""

    container: Container
    problems: Problems
    manifests: list[Digests]

    @property
    def ours(self) -> bool:
        """Whether it was made here."""

    def number(self, path: str) -> int | None:
        """The file of that path in the bag."""

    def files(self) -> Iterator[tuple[str, int]]:
        """Every file of the bag: its path there, and its number."""

    def chunks(self, number: int) -> Iterator[bytes | memoryview]:
        """The bytes of one file. Raises Damaged."""


def check_items_list(bag: Bag) -> int:
    """Compare items.parquet with the payload and its manifest; gives how many items it lists as not delivered."""
    number = bag.number("items.parquet")
    manifest = next((m for m in bag.manifests if m.name == "manifest-sha256.txt"), None)
    if number is None or manifest is None:
        if bag.ours:
            bag.problems.add("items.parquet", "it is missing, or manifest-sha256.txt is")
        return 0
    with tempfile.TemporaryFile() as file:
        try:
            for chunk in bag.chunks(number):
                file.write(chunk)
            listed, absent = _compare(bag, pq.ParquetFile(file), manifest)
        except Damaged:
            return 0
        except (pa.ArrowException, OSError, KeyError, ValueError):
            if bag.ours:
                bag.problems.add("items.parquet", "it cannot be read as the list of items")
            return 0
    for path, at in bag.files():
        if path.startswith("data/") and not listed[at]:
            bag.problems.add(path, "items.parquet does not list it")
    return absent


def _compare(bag: Bag, file: Any, manifest: Digests) -> tuple[bytearray, int]:
    """Which files the list has, and how many of its items are not delivered."""
    if not file.schema_arrow.equals(ITEMS):
        raise ValueError("other columns")
    listed, absent = bytearray(len(bag.container.names)), 0
    for batch in file.iter_batches(8192, columns=["path", "outcome", "size", "sha256"]):
        for path, outcome, size, sha256 in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number = bag.number(path or "")
            if outcome != DELIVERED:
                absent += 1
            elif number is None:
                bag.problems.add(str(path), "it is missing; items.parquet lists it")
            else:
                if listed[number]:
                    bag.problems.add(path, "items.parquet lists it twice")
                listed[number] = 1
                if size != bag.container.sizes[number] or bytes.fromhex(sha256) != manifest.of(number):
                    bag.problems.add(path, "items.parquet and manifest-sha256.txt do not agree on it")
    return listed, absent
