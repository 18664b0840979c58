"""The options of `verify` that check a package's signature and time stamp, and what they find."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prefect_collect.errors import UsageError
from prefect_collect.packages.contents.encrypted import SUFFIX
from prefect_collect.stores.os_errors import os_errors

SIGNATURE: Final = ".sig"
TIMESTAMP: Final = ".tsr"
MOST_BYTES: Final = 1 << 20
"""The most bytes of a key, a signature, a time stamp or a file of certificates."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What was found of a signature or a time stamp: a sentence, which is a problem if it is not `valid`."""

    name: str
    valid: bool
    what: str


@dataclass(frozen=True, slots=True)
class Seals:
    """The signature and the time stamp to check, and what is trusted; a file that is not named is beside the package.

    Raise UsageError if a file is named without what checks it.
    """

    public_key: Path | None = None
    signature: Path | None = None
    trusted_root: Path | None = None
    timestamp: Path | None = None

    def __post_init__(self) -> None:
        if self.signature is not None and self.public_key is None:
            raise UsageError(f"A signature is checked with --public-key, the signer's. [{self.signature}]")
        if self.timestamp is not None and self.trusted_root is None:
            raise UsageError(f"A time stamp is checked with --trusted-root, a certificate. [{self.timestamp}]")

    @property
    def wanted(self) -> bool:
        """Whether there is anything to check."""
        return self.public_key is not None or self.trusted_root is not None

    def require_many(self) -> None:
        """Raise UsageError if a file is named that belongs to one package, and several are verified."""
        for option, given in (("--signature", self.signature), ("--timestamp", self.timestamp)):
            if given is not None:
                raise UsageError(
                    f"{option} names the file of one package; verify that one alone, or leave it out where the file "
                    f"of each is beside it. [{given}]"
                )

    def require_files(self, package: str) -> None:
        """Raise UsageError if a file that is to be checked is missing, before a large package is read."""
        wanted = ((SIGNATURE, self.public_key, self.signature), (TIMESTAMP, self.trusted_root, self.timestamp))
        for ending, trusted, named in wanted:
            if trusted is None:
                continue
            found = named or _found(package, ending)
            if named is None and not os.path.lexists(found):
                what, option = ("signature", "--signature") if ending == SIGNATURE else ("time stamp", "--timestamp")
                raise UsageError(f"The package has no {what} beside it; name its file with {option}. [{found}]")
            read_small(found)
            read_small(trusted)

    def check(self, package: str, fingerprint: str) -> list[Seal]:
        """Return what is found of the package with that fingerprint (hex). Raise UsageError if a file is missing."""
        found = []
        if self.public_key is not None:
            found.append(_signature(self.signature or _found(package, SIGNATURE), fingerprint, self.public_key))
        if self.trusted_root is not None:
            found.append(_timestamp(self.timestamp or _found(package, TIMESTAMP), fingerprint, self.trusted_root))
        return found

    def unchecked(self, package: str) -> list[Path]:
        """Return the files beside a local package that nothing was given to check."""
        if "://" in package:
            return []
        known = ((SIGNATURE, self.public_key), (TIMESTAMP, self.trusted_root))
        return [path for ending, given in known if given is None and os.path.lexists(path := _found(package, ending))]


def beside(package: str, ending: str) -> Path:
    """Return the file beside a local package, with its name and that ending. Raise UsageError for a URL."""
    if "://" in package:
        raise UsageError(f"The package has no folder on this machine; name the file, or its folder. [{package}]")
    path = Path(os.path.abspath(package))
    return path.with_name(f"{path.name}{ending}")


def _found(package: str, ending: str) -> Path:
    """Return the file beside a local package with that ending; of an encrypted copy also one named by its package.

    Raise UsageError for a URL.
    """
    own = beside(package, ending)
    if not own.name.endswith(f"{SUFFIX}{ending}"):
        return own
    name = own.name.removesuffix(f"{SUFFIX}{ending}")
    # A ZIP file loses its suffix in the name of its copy; a TAR file and a folder keep their names.
    possible = [own, *(own.with_name(f"{name}{suffix}{ending}") for suffix in (".zip", ""))]
    return next((path for path in possible if os.path.lexists(path)), own)


def read_small(path: Path) -> bytes:
    """Return the bytes of a file. Raise UsageError if it is missing or too large."""
    if not path.is_file():
        raise UsageError(f"There is no such file. [{path}]")
    with os_errors(str(path)), path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UsageError(
            f"The file has more than {MOST_BYTES:,} bytes, which no key, signature or time stamp has. [{path}]"
        )
    return data


def _signature(path: Path, fingerprint: str, public_key: Path) -> Seal:
    from prefect_collect.signatures import ed25519

    key = ed25519.read_public_key(read_small(public_key))
    problem = ed25519.signature_problem(read_small(path), fingerprint, key)
    return Seal(str(path), not problem, problem or f"signed with the key {ed25519.key_id(key)}")


def _timestamp(path: Path, fingerprint: str, trusted_root: Path) -> Seal:
    from prefect_collect.signatures import timestamps

    certificates = timestamps.read_certificates(read_small(trusted_root))
    found = timestamps.check_timestamp(read_small(path), fingerprint, certificates)
    return Seal(str(path), not found.problem, found.problem or f"stamped at {found.at:%Y-%m-%d %H:%M:%S} UTC")
