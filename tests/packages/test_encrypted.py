"""Encrypted copies of packages: opened by 7-Zip, verified with the passphrase, and refused without it."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.archive.problems import Damaged
from prefect_collect.errors import PackageError, PackageExists, UsageError
from prefect_collect.packages import encrypt_package, is_encrypted_package, verify
from prefect_collect.packages.contents.encrypted import EncryptedBytes, is_encrypted, write_encrypted
from prefect_collect.stores import DirectoryStore
from tests.examples import examples
from tests.packages.conftest import Staging

PASSPHRASE = "correct horse battery"


class InMemory:
    """A file in memory."""

    window = 1 << 20

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read(self, start: int, end: int) -> bytes:
        """Return a range."""
        return self.data[start:end]

    def close(self) -> None:
        """Do nothing."""


def encrypted(data: bytes) -> bytes:
    """Return the encrypted copy of some bytes."""
    file = io.BytesIO()
    write_encrypted(file, "package.zip", [data[:10], data[10:]], PASSPHRASE.encode())
    return file.getvalue()


@settings(max_examples=examples(40), deadline=None)
@given(data=st.binary(max_size=200), start=st.integers(0, 210), length=st.integers(0, 210))
def test_any_range_is_decrypted(data: bytes, start: int, length: int) -> None:
    """Each range is that of the package, wherever it begins within a block of the cipher."""
    source = InMemory(encrypted(data))
    assert is_encrypted(source)
    package = EncryptedBytes(source, PASSPHRASE)
    package.require_authentic()
    assert package.size == len(data)
    assert package.read(start, start + length) == data[start : start + length]


@settings(max_examples=examples(150), deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_is_noticed(at: int, bit: int) -> None:
    """No change of the file gives other bytes of the package: it is refused, or what is read is what was written."""
    data = random.Random(7).randbytes(150)
    changed = bytearray(encrypted(data))
    changed[at % len(changed)] ^= 1 << bit
    source = InMemory(bytes(changed))
    if not is_encrypted(source):
        return
    try:
        package = EncryptedBytes(source, PASSPHRASE)
        package.require_authentic()
    except (Damaged, PackageError):
        return
    assert package.read(0, package.size) == data


@dataclass
class Delivered:
    """A package as an export delivered it."""

    store: DirectoryStore
    key: str
    format: str
    fingerprint: str | None

    def encrypt(self, folder: Path, passphrase: str = PASSPHRASE) -> Path:
        """Make an encrypted copy in the folder."""
        is_folder = self.format == "directory"
        return encrypt_package(
            self.store, self.key, folder, passphrase, "docs", self.fingerprint, self.format, is_folder=is_folder
        )


@pytest.fixture
def deliver(staging: Staging, exports: DirectoryStore) -> Callable[[str], Delivered]:
    """Return a function that delivers a package in a format."""
    staging.stage({"letter.txt": b"a" * 70_000, "b/ü – name.bin": bytes(range(256))})

    def delivered(format: str) -> Delivered:
        built = staging.zip(exports, "docs.zip") if format == "bagit" else staging.directory(exports, "docs")
        return Delivered(exports, built.key.partition("/")[0], format, built.fingerprint)

    return delivered


@pytest.mark.parametrize("format", ["bagit", "directory"])
def test_a_copy_is_opened_by_7_zip_and_verified(
    deliver: Callable[[str], Delivered], tmp_path: Path, format: str
) -> None:
    """The copy of a package of either kind verifies with its passphrase, and 7-Zip unpacks the same package."""
    made = deliver(format)
    copy = made.encrypt(tmp_path / "out")
    assert copy.name == "docs.aes.zip"
    assert b"letter" not in copy.read_bytes()
    assert is_encrypted_package(copy)
    assert not is_encrypted_package(made.store.locate(made.key))
    found = verify(copy, passphrase=PASSPHRASE)
    assert (found.problems, found.fingerprint) == ([], made.fingerprint)
    done = subprocess.run(
        ["7z", "x", f"-p{PASSPHRASE}", f"-o{tmp_path / 'unpacked'}", str(copy)], capture_output=True, check=True
    )
    assert b"Everything is Ok" in done.stdout
    assert verify(tmp_path / "unpacked" / "docs.zip").fingerprint == made.fingerprint


def test_what_is_refused(deliver: Callable[[str], Delivered], tmp_path: Path) -> None:
    """Without the passphrase, or with another, nothing is read; short ones, and names that are taken, are refused."""
    made = deliver("bagit")
    with pytest.raises(UsageError, match="at least 12 characters"):
        made.encrypt(tmp_path / "out", "too short")
    path = made.encrypt(tmp_path / "out")
    with pytest.raises(PackageExists):
        made.encrypt(tmp_path / "out")
    assert [one.name for one in (tmp_path / "out").iterdir()] == [path.name]
    with pytest.raises(PackageError, match="is encrypted; give its passphrase"):
        verify(path)
    other = "correct horse batteries"
    with pytest.raises(PackageError, match="another passphrase"):
        verify(path, passphrase=other)
    whole = path.read_bytes()
    with path.open("r+b") as file:  # as if the two bytes that WinZip keeps of a passphrase were the same of both
        name, extra = struct.unpack_from("<2H", whole, 26)
        at = 30 + name + extra
        file.seek(at + 16)
        file.write(hashlib.pbkdf2_hmac("sha1", other.encode(), whole[at : at + 16], 1000, 66)[64:])
    with pytest.raises(PackageError, match="another passphrase"):
        verify(path, passphrase=other)
    path.write_bytes(whole)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"changed")
    [problem] = verify(path, passphrase=PASSPHRASE).problems
    assert "authentication code differs" in problem.what


def test_a_package_without_a_known_fingerprint(deliver: Callable[[str], Delivered], tmp_path: Path) -> None:
    """It is copied as it is, as a copy that is not encrypted is; one that is gone is refused."""
    made = deliver("directory")
    copy = replace(made, fingerprint=None).encrypt(tmp_path / "out")
    assert verify(copy, passphrase=PASSPHRASE).fingerprint == made.fingerprint
    with pytest.raises(PackageError, match="no longer where the export wrote it"):
        replace(made, fingerprint=None, key="gone").encrypt(tmp_path / "out")


def test_a_package_that_was_changed_is_not_handed_over(deliver: Callable[[str], Delivered], tmp_path: Path) -> None:
    """Nothing is left if the package is another one than the export delivered, or ends early."""
    made = deliver("bagit")
    with pytest.raises(PackageError, match="fingerprint differs"):
        replace(made, fingerprint="0" * 64).encrypt(tmp_path / "out")
    assert not (tmp_path / "out").exists()
