"""The options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, get_args

import typer

from prefect_collect.errors import InvalidLocation
from prefect_collect.parameters import Hash, checked_custodian, checked_custodian_folder, checked_custodians, size_of
from prefect_collect.statuses import JobKind, JobStatus
from prefect_collect.stores import addresses
from prefect_collect.stores.addresses import INSIDE, SOURCE_URLS, listed


def size(text: str) -> int:
    """Return the bytes of a size (`size_of`). Raise BadParameter if it is not a size."""
    found = size_of(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a size; write bytes, or 10k, 1.5M, 2G.")
    return found


def local_path(text: str) -> Path:
    """Return the path of a local file or folder. Raise BadParameter if it is a URL."""
    try:
        return addresses.local_path(text, "path")
    except InvalidLocation as error:
        raise typer.BadParameter(str(error)) from error


def custodian(text: str) -> str:
    """Return the custodian as it was given, for "" stands for none. Raise BadParameter if it is not one line."""
    return _checked(checked_custodian, text)


def custodian_folder(text: str) -> str:
    """Return where custodians have folders; "" stands for nowhere. Raise BadParameter if it cannot be used."""
    return _checked(checked_custodian_folder, text)


def _checked(check: Callable[[str], str | None], text: str) -> str:
    try:
        return check(text) or ""
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def custodian_of(text: str) -> dict[str, str]:
    """Return a pattern and its custodian of ``PATTERN=NAME``. Raise BadParameter if it is not that."""
    pattern, found, name = text.rpartition("=")
    if not found:
        raise typer.BadParameter(f"{text!r} is not PATTERN=NAME, such as 'mail/anna/**=Anna Lee'.")
    try:
        entries = checked_custodians([{"pattern": pattern, "custodian": name}]) or []
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return entries[0]


def hash_name(text: str) -> str:
    """Return the name of a hash as the flow takes it. Raise BadParameter if it is not one of `Hash`."""
    if text.lower() not in get_args(Hash):
        raise typer.BadParameter(f"{text!r} is not one of {listed(get_args(Hash), 'or')}; SHA-256 is always computed.")
    return text.lower()


Kind = JobKind
Status = JobStatus

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, or at least its first 6 characters.")]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="DIR|URL",
        help="The staging store: a folder or s3://bucket/prefix (gs:// and az:// alike); by default Prefect's setting "
        "integrations.collect.store, else PREFECT_HOME/collect.",
        show_default=False,
    ),
]
SingleWriterOption = Annotated[
    bool,
    typer.Option(
        "--single-writer",
        help="Vouch that only one process writes to the S3 store; for servers that ignore conditional creates.",
    ),
]
PassphraseFromOption = Annotated[
    str | None,
    typer.Option(
        metavar="BLOCK",
        help="The Secret block of Prefect with the passphrase of the encrypted package.",
        show_default="asked for",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print only one JSON document.")]
LimitOption = Annotated[int, typer.Option("--limit", min=0, help="Show at most that many rows.")]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Return at once if a worker runs the job; by default wait for its end.")
]
SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="URL|PATH|SOURCE",
        help=f"{listed(SOURCE_URLS.values(), 'or')}, a folder or a file, or a saved data source block. Before a "
        f"folder, file or bucket, {listed([f'{kind}:' for kind in INSIDE], 'or')} says what lies inside its files.",
    ),
]
