"""The commands that make jobs and move them on, as a user types them; `_app` gives them to the program."""

from __future__ import annotations

from typing import Annotated

import typer

from prefect_collect.cli._collection_options import CollectionOptions, with_collection_options
from prefect_collect.cli._options import (
    DetachOption,
    JobArgument,
    JsonOption,
    SingleWriterOption,
    SourceArgument,
    StoreOption,
)
from prefect_collect.parameters import FORMAT_WORDS, Format


@with_collection_options
def collect(
    source: SourceArgument,
    options: CollectionOptions,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    json: JsonOption = False,
) -> int:
    """Collect the items of a source into the staging store, in this process."""
    from prefect_collect.cli._jobs import run_collection

    return run_collection(source, options, store, single_writer=single_writer, json=json)


@with_collection_options
def draft(
    source: SourceArgument,
    options: CollectionOptions,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    json: JsonOption = False,
) -> int:
    """Save a collection without starting it; `start`, or Resume in Prefect's UI, starts it."""
    from prefect_collect.cli._drafts import save_draft

    return save_draft(source, options, store, single_writer=single_writer, json=json)


@with_collection_options
def edit(
    job: JobArgument,
    options: CollectionOptions,
    source: Annotated[str | None, typer.Option(metavar="URL|PATH|SOURCE", help="Collect from there instead.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="Drop what the draft chose items by.")] = False,
    no_export: Annotated[bool, typer.Option("--no-export", help="Drop the export that was made with it.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> int:
    """Change a draft: the options that are given; everything else stays as it is."""
    from prefect_collect.cli._drafts import Changes, change_draft

    return change_draft(job, Changes(options, source, everything, no_export), store, json=json)


def export(
    job: JobArgument,
    to: Annotated[
        str,
        typer.Option(
            metavar="DEST",
            help="Where to put it: a folder, s3://bucket/prefix, or a saved block as collect-s3-store/NAME or "
            "collect-directory-store/NAME.",
        ),
    ],
    format: Annotated[Format, typer.Option(help=FORMAT_WORDS)] = "bagit",
    sha512: Annotated[bool, typer.Option("--sha512", help="Put SHA-512 manifests into the bag too.")] = False,
    portable_names: Annotated[
        bool,
        typer.Option(
            "--portable-names",
            help="Give items whose names Windows or macOS cannot unpack others; items.csv keeps the originals.",
        ),
    ] = False,
    name: Annotated[str | None, typer.Option(help="What to call the job.")] = None,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    json: JsonOption = False,
) -> int:
    """Export a collection as a package that proves its own completeness."""
    from prefect_collect.cli._jobs import run_export

    options = {"format": format, "sha512": sha512, "portable_names": portable_names, "name": name}
    return run_export(job, to, store, single_writer=single_writer, json=json, **options)


def retry(
    job: JobArgument,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Work on exactly the rows of this error report (CSV or Parquet).")
    ] = None,
    detach: DetachOption = False,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    json: JsonOption = False,
) -> int:
    """Work again on what has not succeeded, and only on that: by a worker if one is running, else in this process."""
    from prefect_collect.cli._job_steps import run_again

    return run_again(job, "Retry", store, report=report, detach=detach, single_writer=single_writer, json=json)


def start(
    job: JobArgument,
    detach: DetachOption = False,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    json: JsonOption = False,
) -> int:
    """Start a draft, or a canceled job, which takes up what is missing: by a worker if one is running, else here."""
    from prefect_collect.cli._job_steps import run_again

    return run_again(job, "Start", store, detach=detach, single_writer=single_writer, json=json)


def cancel(
    job: JobArgument,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return at once; by default it is waited until the work has stopped.")
    ] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> int:
    """Cancel a job that is queued or in progress, and print the receipt of what is kept."""
    from prefect_collect.cli._job_steps import cancel_job

    return cancel_job(job, store, detach=detach, json=json)


def delete(
    job: JobArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> int:
    """Delete a job with everything that it staged; packages that it delivered, and its log's last line, stay."""
    from prefect_collect.cli._job_steps import delete_job

    return delete_job(job, store, yes=yes, json=json)
