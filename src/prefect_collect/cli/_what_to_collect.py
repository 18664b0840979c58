"""The options of `collect`, `draft` and `edit` that say what to collect, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from prefect_collect.cli._option_groups import FLOW, QUERY, SOURCE
from prefect_collect.cli._options import custodian, custodian_of, hash_name, local_path, size
from prefect_collect.cli._options import custodian_folder as custodian_folder_of
from prefect_collect.parameters import Concurrency, OnEmpty, Percentage, Runner, Since, Tries, Workers, bounds

FILES: Final = {"include_from": "query", "exclude_from": "query"}
"""The options for files of patterns, which add to others, and the group that they belong to."""


@dataclass(frozen=True, kw_only=True)
class WhatToCollect:
    """The values of the options that say what to collect, and how, with their defaults."""

    name: Annotated[str | None, typer.Option(help="The job's name.", show_default="the source's name"), FLOW] = None
    custodian: Annotated[
        str | None,
        typer.Option(parser=custodian, metavar="NAME", help="The person or department whose data is collected."),
        FLOW,
    ] = None
    custodian_folder: Annotated[
        str | None,
        typer.Option(
            parser=custodian_folder_of,
            metavar="PATH",
            help="Where each custodian has a folder, such as 'home/{custodian}': items below are theirs.",
        ),
        FLOW,
    ] = None
    custodians: Annotated[
        list[str] | None,
        typer.Option(
            "--custodian-of",
            parser=custodian_of,
            metavar="PATTERN=NAME",
            help="The custodian of the items whose paths match a glob, such as 'mail/anna/**=Anna'. Can be repeated: "
            "the first glob that matches decides.",
        ),
        FLOW,
    ] = None
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Collect only paths that match, such as '*.pdf' or 'mail/**'. Can be repeated."
        ),
        QUERY,
    ] = None
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Leave out paths that match. Can be repeated."), QUERY
    ] = None
    include_from: Annotated[
        list[Path] | None,
        typer.Option(
            parser=local_path,
            metavar="FILE",
            help="Read more globs to include from a file, one a line; # begins a comment.",
        ),
    ] = None
    exclude_from: Annotated[
        list[Path] | None,
        typer.Option(parser=local_path, metavar="FILE", help="Read more globs to exclude from a file, one a line."),
    ] = None
    modified_after: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only items modified at that time (UTC) or later, such as 2026-01-31."),
        QUERY,
    ] = None
    modified_before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only items modified before that time."), QUERY
    ] = None
    min_size: Annotated[
        int | None,
        typer.Option(parser=size, metavar="SIZE", help="Only items of at least that size, such as 10k."),
        QUERY,
    ] = None
    max_size: Annotated[
        int | None,
        typer.Option(parser=size, metavar="SIZE", help="Only items of at most that size, such as 2G."),
        QUERY,
    ] = None
    limit: Annotated[int | None, typer.Option(min=0, help="Collect at most that many items."), QUERY] = None
    follow_symlinks: Annotated[
        bool,
        typer.Option("--follow-symlinks", help="For a folder, or sftp://: collect what links point to, inside it."),
        SOURCE,
    ] = False
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="For urls://: allow URLs and redirects to private or local addresses."),
        SOURCE,
    ] = False
    endpoint_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The source's server, if not the cloud provider's own."),
        SOURCE,
    ] = None
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="The region of the source's S3 bucket.", show_default="detected"),
        SOURCE,
    ] = None
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Read the source without credentials: a public bucket."), SOURCE
    ] = False
    request_payer: Annotated[
        bool,
        typer.Option("--request-payer", help="Pay for reading the source: an S3 bucket with Requester Pays."),
        SOURCE,
    ] = False
    versions: Annotated[
        Literal["current", "all"],
        typer.Option(help="all: every version of each object of an S3 bucket, and its delete markers."),
        SOURCE,
    ] = "current"
    tolerated_failure_percentage: Annotated[
        Percentage,
        typer.Option(**bounds(Percentage), help="Stop when more than this percentage of the items has failed."),
        FLOW,
    ] = 100.0
    on_empty: Annotated[OnEmpty, typer.Option(help="How the job ends if no item matches."), FLOW] = "succeed"
    compress: Annotated[
        bool, typer.Option("--compress/--no-compress", help="Compress staged items that get smaller by it."), FLOW
    ] = False
    hashes: Annotated[
        list[str] | None,
        typer.Option(
            "--hash", parser=hash_name, metavar="md5|sha1", help="Compute that hash of every item too. Can be repeated."
        ),
        FLOW,
    ] = None
    tries: Annotated[
        Tries, typer.Option(**bounds(Tries), help="How often to try an item that fails by a temporary error."), FLOW
    ] = 5
    concurrency: Annotated[
        Concurrency,
        typer.Option(
            **bounds(Concurrency),
            help="The most small items of a shard to read at once: 32 to begin with, more as long as that is faster.",
        ),
        FLOW,
    ] = 128
    since: Annotated[
        Since | None,
        typer.Option(help="last: only items that are new or changed since this source was collected last."),
        FLOW,
    ] = None
    runner: Annotated[
        Runner,
        typer.Option(
            help="Where shards run: in threads, in processes on all cores, or on a cluster; auto: in threads, and in "
            "processes once a folder or a bucket keeps a core busy."
        ),
        FLOW,
    ] = "auto"
    runner_address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The Dask or Ray cluster.", show_default="one started for the job"),
        FLOW,
    ] = None
    workers: Annotated[
        Workers,
        typer.Option(
            **bounds(Workers),
            help="Shards to collect at once.",
            show_default="2 threads, a process for each core, or the cluster's",
        ),
        FLOW,
    ] = None
