"""The commands: their names, options and help. Each imports the module that does its work when it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from prefect_collect.cli import _package_commands
from prefect_collect.cli._options import JobArgument, JsonOption, Kind, LimitOption, Status, StoreOption, local_path
from prefect_collect.cli._plain_values import PlainCommand, PlainGroup
from prefect_collect.console.roles import Role


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"prefect-collect {version('prefect-collect')}")
        raise typer.Exit


def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""


def show(job: JobArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show a job: its status and what that means, counts, attempts, next steps."""
    from prefect_collect.cli._show import show_job

    show_job(job, store, json=json)


def jobs(
    kind: Annotated[Kind | None, typer.Option(help="Only jobs of that kind.")] = None,
    status: Annotated[
        list[Status] | None,
        typer.Option(
            metavar="STATUS",
            case_sensitive=False,
            help="Only jobs in that status, such as 'Partially completed'. Can be repeated.",
        ),
    ] = None,
    limit: LimitOption = 50,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """List the jobs, newest first; last those that were deleted in Prefect while their evidence is still there."""
    from prefect_collect.cli._show import show_jobs

    statuses = {each.value for each in status or ()}
    show_jobs(limit, store, kind=kind and kind.value, statuses=statuses, json=json)


def preview(job: JobArgument, limit: LimitOption = 20, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show the first items that a collection holds."""
    from prefect_collect.cli._show import show_preview

    show_preview(job, limit, store, json=json)


def report(
    job: JobArgument,
    to: Annotated[
        Path | None,
        typer.Option(parser=local_path, metavar="FILE", help="Write the whole report to a new .csv or .parquet file."),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print the whole report as CSV.")] = False,
    pdf: Annotated[
        Path | None,
        typer.Option(parser=local_path, metavar="FILE", help="Write the chain of custody document to a new .pdf file."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            parser=local_path, metavar="FILE", help="Write the chain of custody document to a new .html file."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Show at most that many rows.", show_default="20")] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Show the error report: the items that did not succeed, why, and what to do.

    With --pdf or --html: write what was asked and done, by whom and when, with counts and hashes, as a document.
    """
    if pdf is not None or html is not None:
        from prefect_collect.cli._document import require_alone, write_documents

        require_alone(error_report=to is not None or csv or limit is not None)
        write_documents(job, store, pdf=pdf, html=html, json=json)
        return
    from prefect_collect.cli._report import show_report

    show_report(job, store, to=to, as_csv=csv, limit=20 if limit is None else limit, json=json)


def demo(
    folder: Annotated[
        Path, typer.Argument(parser=local_path, metavar="DIR", help="The folder to work in; created if missing.")
    ] = Path("prefect-collect-demo"),
    tree: Annotated[
        Path | None,
        typer.Option(
            parser=local_path,
            metavar="DIR",
            help="The folder to copy and collect.",
            show_default="Python's standard library",
        ),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Show the whole process: collect files of which one fails, repair it, retry, export, verify."""
    from prefect_collect.cli._demo import run_demo

    return run_demo(folder, tree, json=json)


def serve(
    limit: Annotated[int, typer.Option("--limit", min=1, help="The number of jobs to run at once.")] = 4,
    host: Annotated[
        str | None, typer.Option(help="The address of the server that it starts.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port of the server that it starts.", show_default="4200")
    ] = None,
    automations: Annotated[
        bool,
        typer.Option("--automations", help="Create the ready automations in Prefect: notify, recover lost jobs."),
    ] = False,
    notify: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE/NAME", help="With --automations: the block for notifications, such as slack-webhook/ops."
        ),
    ] = None,
    console: Annotated[
        bool, typer.Option("--console/--no-console", help="Serve the console beside, at 127.0.0.1.")
    ] = True,
    console_port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port of the console that it serves; 0 for a free one.")
    ] = 4280,
) -> int:
    """Run jobs on this machine: collections, exports and recovery. Start a Prefect server if none is configured.

    It runs until Ctrl-C or SIGTERM. Jobs that are running then go back to the queue, and resume at the next serve.
    """
    from prefect_collect.cli._serving import run_server

    return run_server(
        limit, host, port, automations=automations, notify=notify, console=console_port if console else None
    )


def console(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at; 0 for a free one.")] = 4280,
    token_file: Annotated[
        Path | None,
        typer.Option(
            parser=local_path,
            metavar="FILE",
            help="A file of tokens, a line 'view|operate USER TOKEN' each; by default the one of the setting "
            "console_token_file, else one token is made and printed.",
        ),
    ] = None,
    host_name: Annotated[
        list[str] | None,
        typer.Option("--host-name", metavar="NAME", help="A name by which browsers reach it. Can be repeated."),
    ] = None,
    root_path: Annotated[
        str, typer.Option(metavar="/PATH", help="The path below which a reverse proxy shows it.", show_default=False)
    ] = "",
    https: Annotated[
        bool, typer.Option("--https", help="Browsers reach it by HTTPS, through a reverse proxy.")
    ] = False,
    public_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The address at which browsers reach it through a reverse proxy, and to which the pages in Prefect's "
            "UI link; stands for --host-name, --root-path and --https.",
        ),
    ] = None,
    user_header: Annotated[
        str | None,
        typer.Option(metavar="HEADER", help="The header in which a reverse proxy names the user whom it logged in."),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option("--trusted-proxy", metavar="ADDRESS", help="The address of that proxy. Can be repeated."),
    ] = None,
    user_role: Annotated[Role, typer.Option(help="The role of the users whom the proxy names.")] = Role.VIEW,
) -> int:
    """Serve the console: pages to look at jobs, start, cancel, retry and delete them. It runs until Ctrl-C or SIGTERM.

    It shows the jobs of the configured Prefect server. Jobs are run by `prefect-collect serve`.
    """
    from prefect_collect.cli._console import run_console

    return run_console(
        host, port, token_file, tuple(host_name or ()), root_path,
        https=https, public_url=public_url, user_header=user_header, trusted_proxies=tuple(trusted_proxy or ()),
        user_role=user_role,
    )  # fmt: skip


_LOOKING: Final = (show, jobs, preview, report)
_PACKAGES: Final = (_package_commands.download, _package_commands.verify, _package_commands.sign, demo)
_SERVER: Final = (serve, console)
_LIGHT: Final = frozenset(command.__name__ for command in (*_LOOKING, *_PACKAGES, *_SERVER))


def program(arguments: Sequence[str]) -> typer.Typer:
    """Return the commands that the arguments may mean: the one that they name, or else all.

    To make the options of all commands takes longer than a command such as `show` runs.
    """
    named = next((word for word in arguments if word != "--debug"), "")
    if named in _LIGHT:
        return _program(named)
    from prefect_collect.cli._job_commands import JOB_COMMANDS

    return _program(named if named in {command.__name__ for command in JOB_COMMANDS} else None)


@cache
def _program(only: str | None) -> typer.Typer:
    """Return all commands, or the one of that name alone."""
    app = typer.Typer(
        name="prefect-collect",
        help="Collect items from a source and export them as a package, accounting for every one of them.",
        epilog="Exit codes: 0 successfully completed, 3 partially completed, 4 failed, 5 canceled, 2 wrong use, "
        "130 waiting for a job was interrupted; the job continues.",
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(cls=PlainGroup)(common)

    def add(panel: str, *commands: Callable[..., Any]) -> None:
        for command in commands:
            if only in (None, command.__name__):
                app.command(rich_help_panel=panel, cls=PlainCommand)(command)

    if only not in _LIGHT:
        from prefect_collect.cli._job_commands import JOB_COMMANDS

        add("Jobs", *JOB_COMMANDS)
    add("Looking", *_LOOKING)
    if only is None:
        from prefect_collect.cli import _source_commands

        add("Looking", _source_commands.estimate)
        app.add_typer(_source_commands.sources, name="sources", rich_help_panel="Looking")
    add("Packages", *_PACKAGES)
    add("Server", *_SERVER)
    return app
