"""The commands about packages: their options and help; `_app` adds them to the program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prefect_collect.cli._options import JobArgument, JsonOption, PassphraseFromOption, StoreOption, local_path


def download(
    job: JobArgument,
    to: Annotated[Path, typer.Option(parser=local_path, metavar="DIR", help="The folder to put the package into.")],
    encrypt: Annotated[
        bool,
        typer.Option("--encrypt", help="Encrypt the copy (AES-256, NAME.aes.zip) by a passphrase."),
    ] = False,
    passphrase_from: PassphraseFromOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the package of an export into a folder."""
    from prefect_collect.cli._show import download_package

    download_package(job, to, store, encrypt=encrypt, passphrase_from=passphrase_from, json=json)


def verify(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB|PACKAGE...",
            help="One or more: a job's id, or its beginning; or a package: a ZIP or TAR file, a folder, or the URL of "
            "one in a bucket (s3://, gs://, az://). An OCFL storage root stands for the objects in it.",
        ),
    ],
    public_key: Annotated[
        Path | None,
        typer.Option(
            parser=local_path,
            metavar="FILE",
            help="Check the package's signature, PACKAGE.sig, with this public key (PEM).",
        ),
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(parser=local_path, metavar="FILE", help="The signature, if it is not beside the package."),
    ] = None,
    trusted_root: Annotated[
        Path | None,
        typer.Option(
            parser=local_path,
            metavar="FILE",
            help="Check the package's time stamp, PACKAGE.tsr, with these certificates (PEM).",
        ),
    ] = None,
    timestamp: Annotated[
        Path | None,
        typer.Option(parser=local_path, metavar="FILE", help="The time stamp, if it is not beside the package."),
    ] = None,
    passphrase_from: PassphraseFromOption = None,
    profile: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A BagIt profile (JSON) that a bag must conform to. Nothing is fetched."),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> int:
    """Check packages and jobs offline. Exit code 0 if all are valid, 4 if one is not.

    A package is complete, has no extra files, and every hash is right. A job's custody log is unbroken, every file that
    it vouches for is unchanged, the counts agree, and every byte of the staged items is as recorded. A signature and a
    time stamp of a package are checked if their key and root are given.
    """
    from prefect_collect.cli._package_verdict import PackageChecks
    from prefect_collect.cli._seals import Seals
    from prefect_collect.cli._verifying import verify_all

    seals = Seals(public_key, signature, trusted_root, timestamp)
    return verify_all(what, store, PackageChecks(seals, profile, passphrase_from), json=json)


def sign(
    package: Annotated[
        str,
        typer.Argument(
            metavar="PACKAGE", help="A package: a ZIP or TAR file, a folder, or the URL of one in a bucket."
        ),
    ],
    key: Annotated[
        Path | None,
        typer.Option(parser=local_path, metavar="FILE", help="Sign with this private key of Ed25519 (PEM)."),
    ] = None,
    passphrase_from: Annotated[
        str | None,
        typer.Option(
            metavar="BLOCK", help="The Secret block of Prefect with the key's passphrase.", show_default="asked for"
        ),
    ] = None,
    timestamp: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask this server (RFC 3161) for a time stamp.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            parser=local_path,
            metavar="DIR",
            help="The folder to put the signature into.",
            show_default="the one of the package",
        ),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Verify a package, and sign its fingerprint (PACKAGE.sig) or have it stamped with the time (PACKAGE.tsr)."""
    from prefect_collect.cli._signing import sign_package

    return sign_package(package, key, timestamp, to, passphrase_from=passphrase_from, json=json)
