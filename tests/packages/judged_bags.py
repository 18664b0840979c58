"""Bags, each with the row of docs/verifying.md that tells how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.packages.foreign_bags import PAYLOAD, as_folder, as_zip, bag, line, manifest

VALID, WARNING, WRONG = "valid", "valid, with a warning", "not valid"
A: Final = PAYLOAD["data/a.txt"]
LINES: Final = manifest(PAYLOAD)
HOLE: Final = line("data/hole", b"12345")
URL: Final = b"https://example.org/hole"
OXUM: Final = b"Payload-Oxum: 9.2\n"


@dataclass(frozen=True)
class Case:
    """A row of the page, a bag for it, and words that the reason must have."""

    row: str
    verdict: str
    make: Callable[[Path], Path]
    words: str = ""


class Cases(list[Case]):
    """The bags of one subject."""

    def add(self, row: str, verdict: str, files: Mapping[str, bytes], words: str = "", *, zipped: bool = False) -> None:
        """Add a bag for a row."""

        def make(path: Path) -> Path:
            return as_zip(files, path / "bag.zip") if zipped else as_folder(files, path / "bag")

        self.append(Case(row, verdict, make, words))

    def made(
        self, row: str, verdict: str, words: str = ""
    ) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
        """Add a bag that a function makes."""

        def add(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
            self.append(Case(row, verdict, make, words))
            return make

        return add


def listing(text: bytes, version: str = "1.0", payload: Mapping[str, bytes] = PAYLOAD) -> dict[str, bytes]:
    """Return a bag with that manifest."""
    return bag(version, payload, manifest__sha256_txt=text)
