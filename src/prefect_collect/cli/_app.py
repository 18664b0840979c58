"""The commands as a person types them: names, options, help. What they do is in the modules that each imports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prefect_collect.cli._options import (
    Format,
    JobArgument,
    JsonOption,
    Kind,
    LimitOption,
    OnEmpty,
    SingleWriterOption,
    Status,
    StoreOption,
    size,
)

app = typer.Typer(
    name="prefect-collect",
    help="Collect items from a source and export them as a package, accounting for every one of them.",
    epilog="Exit codes: 0 successfully completed, 3 partially completed, 4 failed, 5 canceled, 2 wrong use.",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"prefect-collect {version('prefect-collect')}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""


@app.command(rich_help_panel="Jobs")
def collect(
    source: Annotated[
        str,
        typer.Argument(
            metavar="URL|PATH|SOURCE",
            help="s3://bucket/prefix (also gs://, az://), a folder or a file, or a saved data source block.",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="What to call the job.", show_default="the source's name")] = None,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Take only paths that match, as '*.pdf' or 'mail/**'. Can be repeated."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Leave out paths that match. Can be repeated.")
    ] = None,
    modified_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Take what was modified then or later, as 2026-01-31 (UTC).")
    ] = None,
    modified_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Take what was modified before that time.")
    ] = None,
    min_size: Annotated[
        int | None, typer.Option(parser=size, metavar="SIZE", help="At least so large, as 10k.")
    ] = None,
    max_size: Annotated[int | None, typer.Option(parser=size, metavar="SIZE", help="At most so large, as 2G.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Take at most so many items.")] = None,
    follow_symlinks: Annotated[
        bool, typer.Option("--follow-symlinks", help="Of a folder: collect what links point to, inside the folder.")
    ] = False,
    endpoint_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The source's server, if not the cloud provider's own.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="The region of the source's S3 bucket.", show_default="found out"),
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Read the source without credentials: a public bucket.")
    ] = False,
    tolerated_failure_percentage: Annotated[
        float, typer.Option(min=0, max=100, help="Stop early when more of the items than that have failed.")
    ] = 100.0,
    on_empty: Annotated[OnEmpty, typer.Option(help="What it is when nothing matches.")] = OnEmpty.SUCCEED,
    compress: Annotated[bool, typer.Option("--compress", help="Deflate staged items that get smaller by it.")] = False,
    tries: Annotated[int, typer.Option(min=1, max=100, help="How often to try an item that fails in passing.")] = 5,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1024, help="How many small items of a shard to read at once.")
    ] = 32,
    json: JsonOption = False,
) -> int:
    """Collect the items of a source into the staging store."""
    from prefect_collect.cli._jobs import Wanted, run_collection

    query = {
        "include": include,
        "exclude": exclude,
        "modified_after": modified_after,
        "modified_before": modified_before,
        "min_size": min_size,
        "max_size": max_size,
        "limit": limit,
    }
    options = {
        "tolerated_failure_percentage": tolerated_failure_percentage,
        "on_empty": on_empty.value,
        "compress": compress,
        "tries": tries,
        "concurrency": concurrency,
    }
    access = {
        "endpoint_url": endpoint_url,
        "region": region,
        "anonymous": anonymous,
        "follow_symlinks": follow_symlinks,
    }
    given = {field: value for field, value in query.items() if value not in (None, [])}
    access = {field: value for field, value in access.items() if value not in (None, False)}
    return run_collection(Wanted(source, name, given, options, access), store, single_writer=single_writer, json=json)


@app.command(rich_help_panel="Jobs")
def export(
    job: JobArgument,
    to: Annotated[str, typer.Option(metavar="DIR|S3-URL", help="The folder or s3://bucket/prefix to put it into.")],
    format: Annotated[Format, typer.Option(help="A bag as one ZIP file, or unpacked.")] = Format.BAGIT,
    sha512: Annotated[bool, typer.Option("--sha512", help="Put SHA-512 manifests into the bag too.")] = False,
    name: Annotated[str | None, typer.Option(help="What to call the job.")] = None,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    json: JsonOption = False,
) -> int:
    """Export a collection as a package that proves its own completeness."""
    from prefect_collect.cli._jobs import run_export

    options = {"format": format.value, "sha512": sha512, "name": name}
    return run_export(job, to, store, single_writer=single_writer, json=json, **options)


@app.command(rich_help_panel="Jobs")
def retry(
    job: JobArgument,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Work on exactly the rows of this error report (CSV or Parquet).")
    ] = None,
    store: StoreOption = None,
    single_writer: SingleWriterOption = False,
    json: JsonOption = False,
) -> int:
    """Work again on what has not succeeded, and only on that."""
    from prefect_collect.cli._jobs import run_again

    return run_again(job, "Retry", store, report=report, single_writer=single_writer, json=json)


@app.command(rich_help_panel="Jobs")
def start(
    job: JobArgument, store: StoreOption = None, single_writer: SingleWriterOption = False, json: JsonOption = False
) -> int:
    """Start a canceled job again; it takes up what is missing."""
    from prefect_collect.cli._jobs import run_again

    return run_again(job, "Start", store, single_writer=single_writer, json=json)


@app.command(rich_help_panel="Looking")
def show(job: JobArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show a job: its status and what that means, counts, attempts, next steps."""
    from prefect_collect.cli._looking import show_job

    show_job(job, store, json=json)


@app.command(rich_help_panel="Looking")
def jobs(
    kind: Annotated[Kind | None, typer.Option(help="Only jobs of that kind.")] = None,
    status: Annotated[
        list[Status] | None,
        typer.Option(
            metavar="STATUS",
            case_sensitive=False,
            help="Only jobs in that status, as 'Partially completed'. Can be repeated.",
        ),
    ] = None,
    limit: LimitOption = 50,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """List the jobs, the newest first."""
    from prefect_collect.cli._looking import show_jobs

    statuses = {each.value for each in status or ()}
    show_jobs(limit, store, kind=kind and kind.value, statuses=statuses, json=json)


@app.command(rich_help_panel="Looking")
def preview(job: JobArgument, limit: LimitOption = 20, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show the first items that a collection holds."""
    from prefect_collect.cli._looking import show_preview

    show_preview(job, limit, store, json=json)


@app.command(rich_help_panel="Looking")
def report(
    job: JobArgument,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the whole report to that new file, .csv or .parquet.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print the whole report as CSV.")] = False,
    limit: LimitOption = 20,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Show the error report: what did not succeed, why, and what to do."""
    from prefect_collect.cli._reporting import show_report

    show_report(job, store, to=to, csv=csv, limit=limit, json=json)


@app.command(rich_help_panel="Packages")
def download(
    job: JobArgument,
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder to put the package into.")],
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the package of an export into a folder."""
    from prefect_collect.cli._looking import download_package

    download_package(job, to, store, json=json)


@app.command(rich_help_panel="Packages")
def verify(
    what: Annotated[
        str,
        typer.Argument(
            metavar="JOB|PACKAGE",
            help="A job's id, or its beginning; or a package: a ZIP file or a bag's folder, or its s3:// URL.",
        ),
    ],
    store: StoreOption = None,
    json: JsonOption = False,
) -> int:
    """Check a package or a job offline. Exit code 0 if nothing is wrong, 4 if something is.

    Of a package: complete, every hash right, nothing extra. Of a job: the custody log's chain, every file that it
    vouches for, counts that agree, every byte of the staged items.
    """
    from prefect_collect.cli._verifying import verify_anything

    return verify_anything(what, store, json=json)


@app.command(rich_help_panel="Packages")
def demo(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to work; made if it is missing.")] = Path(
        "prefect-collect-demo"
    ),
    tree: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="What to copy and collect.", show_default="Python's standard library"),
    ] = None,
    json: JsonOption = False,
) -> int:
    """See the whole way: collect a real tree in which a file fails, repair, retry, export, verify."""
    from prefect_collect.cli._demo import run_demo

    return run_demo(folder, tree, json=json)
