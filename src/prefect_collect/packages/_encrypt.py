"""Copies a package into an encrypted file, to be handed over."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from prefect_collect.errors import PackageError, PackageExists
from prefect_collect.packages._fetch import folder_zip, require_fingerprint
from prefect_collect.packages.contents.encrypted import SUFFIX, checked_passphrase, write_encrypted
from prefect_collect.stores import Store
from prefect_collect.stores.os_errors import os_errors

_STEP: Final = 1 << 20


def encrypt_package(
    source: Store,
    key: str,
    folder: Path,
    passphrase: str,
    base: str,
    fingerprint: str | None,
    format: str,
    *,
    is_folder: bool,
) -> Path:
    """Copy the package at `key` into an encrypted file in `folder`, and return the file's path.

    The copy is a ZIP file with one entry, the package (a folder as a ZIP file), in WinZip's AES-256; nothing of the
    package, nor a name in it, is written unencrypted. It appears under its name only when it is complete.

    Args:
        source: The store that the package is in.
        key: The package's key.
        folder: The local folder.
        passphrase: The passphrase.
        base: The package's base folder.
        fingerprint: The package's fingerprint, which is compared before; None if it is not known.
        format: The package's format.
        is_folder: True if the package is a folder.

    Raises:
        UsageError: The passphrase is too short, or pyzipper is not installed.
        PackageExists: The folder already has a file of that name.
        PackageError: The package is gone, or is another one.
        StoreError: The package cannot be read, or the copy cannot be written.
    """
    secret = checked_passphrase(passphrase)
    name = f"{key.rpartition('/')[2].removesuffix('.zip')}"
    target = folder / f"{name}{SUFFIX}"
    with os_errors(str(target)):
        if os.path.lexists(target):
            raise PackageExists(f"Something already has the package's name there; name another folder. [{target}]")
    require_fingerprint(source, key, base, fingerprint, format)
    pieces = folder_zip(source, key, fingerprint, format).chunks() if is_folder else _read(source, key)
    inner = f"{name}.zip" if is_folder else key.rpartition("/")[2]
    with os_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=".partial-", dir=folder)
    try:
        with os_errors(str(target)):
            with open(handle, "wb") as file:
                write_encrypted(file, inner, pieces, secret)
                file.flush()
                os.fsync(file.fileno())
            os.rename(partial, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise
    return target


def _read(source: Store, key: str) -> Iterator[bytes]:
    size, done = source.stat(key).size, 0
    with source.open(key) as file:
        while piece := file.read(_STEP):
            done += len(piece)
            yield piece
    if done != size:
        raise PackageError(f"The package was changed while it was read. [{source.locate(key)}]")
