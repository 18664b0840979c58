"""An encrypted copy of a package: a ZIP file whose only entry is the package, in WinZip's AES-256 (AE-2).

The form is WinZip's (https://www.winzip.com/en/support/aes-encryption/): a salt of 16 bytes, 2 bytes by which a wrong
passphrase is recognised, the bytes in AES-256 in counter mode, and 10 bytes of HMAC-SHA1 over them; the keys are made
of the passphrase by PBKDF2-HMAC-SHA1 with 1,000 rounds. 7-Zip, WinZip and others open it. pyzipper writes it; its
reader has no random access, which the check of a package needs, so ranges are decrypted here.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable
from types import ModuleType
from typing import IO, Any, Final

from prefect_collect.archive import zip64 as z
from prefect_collect.archive.problems import Damaged, Problems
from prefect_collect.archive.random_access import Bytes
from prefect_collect.archive.tar import BLOCK
from prefect_collect.archive.tar_entries import is_tar
from prefect_collect.archive.zip_directory import find_directory, read_entries
from prefect_collect.archive.zstd_frames import MAGIC
from prefect_collect.errors import PackageError, UsageError

SHORTEST_PASSPHRASE: Final = 12
"""The fewest characters of a passphrase: 1,000 rounds of PBKDF2 protect a short one badly."""

SUFFIX: Final = ".aes.zip"
"""The suffix of encrypted copies."""

_AES: Final = 99
"""The compression method that marks an encrypted entry (APPNOTE 4.4.5)."""

_FIELD: Final = struct.Struct("<2H H2sBH")
"""The extra field 0x9901: its id and size, the version, the vendor, the strength of the key, the real method."""

_FIELD_ID: Final = 0x9901
_AES_256: Final = 3
_ROUNDS: Final = 1_000
_KEY: Final = 32
_SALT: Final = 16
_BEFORE: Final = _SALT + 2
_AFTER: Final = 10
_BLOCK: Final = 16
_STEP: Final = 1 << 20
_NO_COPY: Final = "it is encrypted, but no copy of a package: that has one entry, and nothing around it"


def checked_passphrase(passphrase: str) -> bytes:
    """Return the bytes of a passphrase. Raise UsageError if it is too short to protect anything."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError(f"The passphrase must have at least {SHORTEST_PASSPHRASE} characters. [passphrase]")
    return passphrase.encode()


def require_pyzipper() -> None:
    """Raise UsageError if pyzipper is not installed; it is asked before a user types a passphrase."""
    _library()


def write_encrypted(file: IO[bytes], name: str, pieces: Iterable[bytes], passphrase: bytes) -> None:
    """Write the encrypted copy of a package.

    Args:
        file: Where to, open for writing and seekable.
        name: The package's file name.
        pieces: The bytes of the package.
        passphrase: The passphrase.

    Raises:
        UsageError: pyzipper is not installed.
    """
    pyzipper = _library()
    with pyzipper.AESZipFile(file, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(passphrase)
        info = archive.zipinfo_cls(name, (1980, 1, 1, 0, 0, 0))
        info.external_attr = 0o644 << 16
        with archive.open(info, "w", force_zip64=True) as entry:
            for piece in pieces:
                entry.write(piece)


def is_encrypted(source: Bytes) -> bool:
    """Return whether a file begins with an encrypted entry."""
    head = source.read(0, z.LOCAL_SIZE)
    return len(head) == z.LOCAL_SIZE and head[:4] == z.LOCAL_SIGNATURE and head[8:10] == _AES.to_bytes(2, "little")


class EncryptedBytes:
    """The package in an encrypted copy, decrypted where it is read."""

    window: Final = 1 << 20

    def __init__(self, source: Bytes, passphrase: str) -> None:
        """Find the package in `source`.

        Raises:
            Damaged: The file is no encrypted copy of a package.
            PackageError: The passphrase is another one.
            UsageError: pyzipper is not installed.
        """
        _library()
        self._source = source
        self._start, self.size = _find(source)
        before = source.read(self._start, self._start + _BEFORE)
        keys = hashlib.pbkdf2_hmac("sha1", passphrase.encode(), before[:_SALT], _ROUNDS, 2 * _KEY + 2)
        if not hmac.compare_digest(keys[2 * _KEY :], before[_SALT:]):
            raise PackageError("The package is encrypted with another passphrase; give the right one. [passphrase]")
        self._key, self._mac_key = keys[:_KEY], keys[_KEY : 2 * _KEY]
        self._start += _BEFORE

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, or to the package's end."""
        end = min(end, self.size)
        if start < 0 or start >= end:
            return b""
        skipped = start % _BLOCK
        first = start - skipped
        plain: bytes = self._cipher(first // _BLOCK).decrypt(self._read(first, end))
        return plain[skipped:]

    def _read(self, start: int, end: int) -> bytes:
        return self._source.read(self._start + start, self._start + end)

    def _cipher(self, block: int) -> Any:
        from Cryptodome.Cipher import AES
        from Cryptodome.Util import Counter

        # WinZip counts from 1, with the lowest byte first.
        return AES.new(self._key, AES.MODE_CTR, counter=Counter.new(128, little_endian=True, initial_value=block + 1))

    def require_authentic(self) -> None:
        """Read all encrypted bytes.

        Raises:
            Damaged: They are not those of the writer.
            PackageError: What they are decrypted to is no package: one passphrase in 65,536 looks like the right one,
                of which WinZip keeps two bytes.
        """
        mac = hmac.new(self._mac_key, digestmod="sha1")
        for start in range(0, self.size, _STEP):
            mac.update(self._read(start, min(start + _STEP, self.size)))
        stated = self._read(self.size, self.size + _AFTER)
        if not hmac.compare_digest(mac.digest()[:_AFTER], stated):
            if not _begins_a_package(self.read(0, BLOCK)):
                raise PackageError(
                    "The package is encrypted with another passphrase, or its beginning was changed; give the right "
                    "one, or copy it again. [passphrase]"
                )
            raise Damaged("its encrypted bytes were changed (the authentication code differs)")

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def _find(source: Bytes) -> tuple[int, int]:
    """Return where the only entry's data begins, and the size of the package in it. Raise Damaged."""
    problems = Problems()
    directory = find_directory(source, problems)
    if directory.entries != 1 or problems.kept:
        raise Damaged(_NO_COPY)
    entries = list(read_entries(source, directory, problems))
    if problems.kept or len(entries) != 1 or entries[0].offset != 0 or entries[0].method != _AES:
        raise Damaged(_NO_COPY)
    [entry] = entries
    head = source.read(0, z.LOCAL_SIZE)
    name, extra = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
    start = z.LOCAL_SIZE + name + extra
    if not _is_aes_256(source.read(z.LOCAL_SIZE + name, start)):
        raise Damaged("its entry is not encrypted by AES-256 in the form of WinZip (AE-2), or is compressed")
    size = entry.stored_size - _BEFORE - _AFTER
    if size != entry.size or start + entry.stored_size > directory.start:
        raise Damaged("its entry has not the size that its directory states")
    return start, size


def _begins_a_package(start: bytes) -> bool:
    """Return whether bytes are the first of a ZIP, TAR or Zstandard file."""
    return start.startswith((z.LOCAL_SIGNATURE, z.END_SIGNATURE, MAGIC)) or is_tar(start)


def _is_aes_256(extra: bytes) -> bool:
    """Return whether the extra fields say that an entry is stored in AES-256."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == _FIELD_ID and at + _FIELD.size <= len(extra):
            _, _, version, vendor, strength, method = _FIELD.unpack_from(extra, at)
            return version in (1, 2) and (vendor, strength, method) == (b"AE", _AES_256, 0)
        at += 4 + size
    return False


def _library() -> ModuleType:
    try:
        import pyzipper
    except ImportError as error:
        raise UsageError(
            "Encrypted packages need pyzipper; install it with `pip install 'prefect-collect[encryption]'`. [pyzipper]"
        ) from error
    found: ModuleType = pyzipper
    return found
