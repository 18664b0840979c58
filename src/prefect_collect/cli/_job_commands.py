"""The commands that create and change jobs: their options and help; `_app` adds them to the program."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import typer

from prefect_collect.cli._collection_options import CollectionOptions
from prefect_collect.cli._export_options import ExportOptions
from prefect_collect.cli._options import (
    DetachOption,
    JobArgument,
    JsonOption,
    SingleWriterOption,
    SourceArgument,
    StoreOption,
)
from prefect_collect.cli._with_options import with_options
from prefect_collect.formats import FORMAT_WORDS, Format
from prefect_collect.parameters import Concurrency, Percentage, bounds
from prefect_collect.stores.addresses import DESTINATIONS


@with_options
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


@with_options
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


@partial(with_options, defaults=False)
def edit(
    job: JobArgument,
    options: CollectionOptions,
    source: Annotated[str | None, typer.Option(metavar="URL|PATH|SOURCE", help="The new source.")] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Drop the draft's query: collect all items.")
    ] = False,
    no_export: Annotated[bool, typer.Option("--no-export", help="Drop the export that was made with it.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> int:
    """Change a draft by the given options; everything else stays as it is."""
    from prefect_collect.cli._drafts import Changes, change_draft

    return change_draft(job, Changes(options, source, everything, no_export), store, json=json)


@with_options
def export(
    job: JobArgument,
    to: Annotated[
        str,
        typer.Option(
            metavar="DEST",
            help=f"The destination: {DESTINATIONS}.",
        ),
    ],
    *,
    format: Annotated[Format, typer.Option(help=FORMAT_WORDS)] = "bagit",
    options: ExportOptions,
    name: Annotated[str | None, typer.Option(help="The job's name.")] = None,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    json: JsonOption = False,
) -> int:
    """Export a collection as a package that proves its own completeness.

    An encrypted copy of the package, to hand over, is made by `download --encrypt`.
    """
    from prefect_collect.cli._jobs import run_export

    given = options.parameters_of(format, store)
    return run_export(job, to, store, single_writer=single_writer, json=json, format=format, name=name, **given)


def retry(
    job: JobArgument,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Retry exactly the items of this error report (CSV or Parquet).")
    ] = None,
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="From now on, a list of URLs may lead to private or local addresses."),
    ] = False,
    tolerated_failure_percentage: Annotated[
        float | None,
        typer.Option(
            **bounds(Percentage), help="From now on, stop when more than this percentage of the items has failed."
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(**bounds(Concurrency), help="From now on, read at most that many small items of a shard at once."),
    ] = None,
    detach: DetachOption = False,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    json: JsonOption = False,
) -> int:
    """Retry only the items that have not succeeded: by a worker if one is running, else in this process."""
    from prefect_collect.cli._job_steps import run_again

    settings = {
        "allow_private": allow_private,
        "tolerated_failure_percentage": tolerated_failure_percentage,
        "concurrency": concurrency,
    }
    return run_again(
        job, "Retry", store, settings, report=report, detach=detach, single_writer=single_writer, json=json
    )


def start(
    job: JobArgument,
    detach: DetachOption = False,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    json: JsonOption = False,
) -> int:
    """Start a draft, or resume a canceled job: by a worker if one is running, else in this process."""
    from prefect_collect.cli._job_steps import run_again

    return run_again(job, "Start", store, detach=detach, single_writer=single_writer, json=json)


def cancel(
    job: JobArgument,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return at once; by default wait until the work has stopped.")
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
    """Delete a job and all that it staged; its packages, and the last entry of its custody log, are kept."""
    from prefect_collect.cli._job_steps import delete_job

    return delete_job(job, store, yes=yes, json=json)


def keep(job: JobArgument, store: StoreOption = None, json: JsonOption = False) -> int:
    """Keep the evidence of a job that was deleted in Prefect; it is then listed as any other job."""
    from prefect_collect.cli._deleted import keep_job

    return keep_job(job, store, json=json)


JOB_COMMANDS: Final = (collect, export, draft, edit, start, retry, cancel, delete, keep)
"""The commands, in the order of the help."""
