"""The files of a package beside its items: written to a temporary folder, hashed, and then put into the package."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from isal import isal_zlib

from prefect_collect.errors import PackageError
from prefect_collect.stores import Piece

_COPY: Final = 1 << 20


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a temporary folder for tag files. Raise PackageError if they cannot be written there."""
    try:
        with tempfile.TemporaryDirectory(prefix="prefect-collect-") as folder:
            yield Path(folder)
    except OSError as error:
        raise PackageError(
            f"The package's lists cannot be written to temporary files ({error.strerror or error}); free space there, "
            f"or set TMPDIR to another folder. [folder={tempfile.gettempdir()}]"
        ) from error


class PackageFile(Protocol):
    """A finished file of a package beside those that are items: its name, size, and hashes (hex) by algorithm."""

    @property
    def name(self) -> str:
        """Its name below the package's base folder."""

    @property
    def size(self) -> int:
        """The number of its bytes."""

    @property
    def crc32(self) -> int:
        """The CRC-32 of its bytes."""

    @property
    def hashes(self) -> Mapping[str, str]:
        """Its hashes (hex), by algorithm."""

    @property
    def is_composed(self) -> bool:
        """Whether a store should compose it of its pieces, some of which are ranges of segments."""

    def pieces(self) -> Iterator[Piece]:
        """Yield new bytes, and ranges of segments."""


@dataclass(frozen=True, slots=True)
class TagFile:
    """A finished tag file: its name in the bag, its temporary file, its size, and its hashes (hex) by algorithm."""

    name: str
    file: Path
    size: int
    crc32: int
    hashes: Mapping[str, str]

    @property
    def is_composed(self) -> bool:
        """Return False."""
        return False

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes of the file."""
        return _chunks(self.file)

    def pieces(self) -> Iterator[Piece]:
        """Yield the bytes of the file."""
        return self.chunks()


def hashed(name: str, path: Path, algorithms: Iterable[str] = ("sha256",)) -> TagFile:
    """Return the finished tag file `name` of a package, whose bytes are in `path`."""
    crc32, size = 0, 0
    states = {algorithm: hashlib.new(algorithm, usedforsecurity=False) for algorithm in algorithms}
    for chunk in _chunks(path):
        crc32 = isal_zlib.crc32(chunk, crc32)
        size += len(chunk)
        for state in states.values():
            state.update(chunk)
    return TagFile(name, path, size, crc32, {algorithm: state.hexdigest() for algorithm, state in states.items()})


def fingerprint_of(files: Iterable[PackageFile], seal: str) -> str:
    """Return the fingerprint of a package with these tag files: the SHA-256 (hex) of the one named `seal`."""
    return next(file.hashes["sha256"] for file in files if file.name == seal)


def _chunks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(_COPY):
            yield chunk
