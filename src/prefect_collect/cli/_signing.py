"""The command `sign`: verify a package, and sign its fingerprint or have it stamped with the time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_collect.cli._exits import FAILED, OK
from prefect_collect.cli._new_file import new_file
from prefect_collect.cli._output import Output
from prefect_collect.cli._package_verdict import no_package, print_verification, require_package, verification_json
from prefect_collect.cli._passphrases import known_passphrase
from prefect_collect.cli._progress import shown_files
from prefect_collect.cli._seals import SIGNATURE, TIMESTAMP, beside, read_small
from prefect_collect.errors import UsageError
from prefect_collect.packages import is_encrypted_package, verify
from prefect_collect.signatures import ed25519, timestamps

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sign_package(
    package: str, key: Path | None, server: str | None, to: Path | None, *, passphrase_from: str | None, json: bool
) -> int:
    """Run ``sign``, and return the exit code: a package that is not valid is not signed."""
    if key is None and server is None:
        raise UsageError("Name what to sign with: --key FILE, or --timestamp URL, or both.")
    places = [
        _place(package, to, ending) for ending, given in ((SIGNATURE, key), (TIMESTAMP, server)) if given is not None
    ]
    out = Output(as_json=json)
    with no_package():
        require_package(package)
    if is_encrypted_package(package):
        raise UsageError(
            "This is an encrypted copy, and has the fingerprint of its package; sign the package itself, and hand its "
            f"signature over with the copy. [{package}]"
        )
    private = None if key is None else _private_key(key, lambda: known_passphrase(passphrase_from, out.say))
    with no_package(), shown_files("Verifying", by_thread="://" in package) as count:
        found = verify(package, progress=count)
    if not found.valid or not found.fingerprint:
        if json:
            out.json(verification_json(found))
        else:
            print_verification(out, found)
            out.line("A package that is not valid is not signed.", style="red")
        return FAILED
    made = []
    if private is not None:
        made.append(ed25519.sign(found.fingerprint, private))
    if server is not None:
        made.append(timestamps.request_timestamp(server, found.fingerprint))
    for path, data in zip(places, made, strict=True):
        with new_file(path) as file:
            file.write(data)
    if json:
        out.json({"location": package, "fingerprint": found.fingerprint, "written_to": [str(path) for path in places]})
        return OK
    out.line(f"fingerprint {found.fingerprint}")
    for path in places:
        out.line(str(path))
    return OK


def _place(package: str, to: Path | None, ending: str) -> Path:
    """Return the new file for a signature. Raise UsageError if it exists, or its folder does not."""
    name = package.rstrip("/").rpartition("/")[2] if "://" in package else os.path.basename(os.path.abspath(package))
    path = beside(package, ending) if to is None else to / f"{name}{ending}"
    if os.path.lexists(path):
        raise UsageError(f"The file exists, and is not overwritten; remove it, or name another folder. [{path}]")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"The folder does not exist; create it, or name another. [{path.parent}]")
    return path


def _private_key(path: Path, passphrase: Callable[[], str]) -> Ed25519PrivateKey:
    pem = read_small(path)
    try:
        return ed25519.read_private_key(pem)
    except ed25519.WrongPassphrase:
        return ed25519.read_private_key(pem, passphrase())
