"""Collection and export jobs on Prefect that account for every item they touch.

    from prefect_collect import FileSource, collect, export, jobs

    state = collect(source=FileSource(name="docs", root="docs"), return_state=True)
    job = jobs.get(state.state_details.flow_run_id)

Jobs:

    collect(source, query, …)                   collect the items of a data source: a flow
    export(collection_job, destination, …)      make a package of what a collection holds: a flow
    jobs                                        list, draft, start, retry, cancel, delete, preview, download
    verify(location)                            check a package
    Query                                       which items of a source to take
    AutoExport                                  an export that follows its collection
    BagOptions, LoadFile, MailSet, Dataset      the options of some formats of packages
    TaskResult                                  the result of an attempt, with its counts
    JobKind, JobStatus, TaskStatus              the kinds and statuses of jobs, and the statuses of attempts
    LifecycleStatus                             the statuses of data sources
    CollectError                                the base class of all errors

Data sources, which are blocks of Prefect:

    FileSource, ObjectStoreSource               folders; buckets of S3, Google and Azure
    SftpSource, WebDavSource, RcloneSource      folders on servers and cloud drives
    HttpListSource                              a list of URLs
    ImapSource, MboxSource                      mailboxes; mbox files
    SqlSource                                   the tables of a database
    VaultExportSource, PurviewExportSource, SlackExportSource
                                                exports of Google Vault, Microsoft Purview and Slack
    DataSource                                  the base class for sources of your own

`help(prefect_collect.collect)` and the like say more: help of the package prints all that blocks inherit as well. Each
name is imported when it is first used, so that importing this package does not import Prefect.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.names_later import names_later

if TYPE_CHECKING:
    from prefect_collect import jobs
    from prefect_collect.blocks import (
        DataSource,
        FileSource,
        HttpListSource,
        ImapSource,
        MboxSource,
        ObjectStoreSource,
        PurviewExportSource,
        RcloneSource,
        SftpSource,
        SlackExportSource,
        SqlSource,
        VaultExportSource,
        WebDavSource,
    )
    from prefect_collect.errors import CollectError
    from prefect_collect.flows import AutoExport, collect, export
    from prefect_collect.formats.bag_options import BagOptions
    from prefect_collect.formats.dataset import Dataset
    from prefect_collect.formats.load_file import LoadFile
    from prefect_collect.formats.mail_set import MailSet
    from prefect_collect.job_folder.result import TaskResult
    from prefect_collect.packages import verify
    from prefect_collect.sources.query import Query
    from prefect_collect.statuses import JobKind, JobStatus, LifecycleStatus, TaskStatus

    __version__: str

__all__ = [
    "AutoExport",
    "BagOptions",
    "CollectError",
    "DataSource",
    "Dataset",
    "FileSource",
    "HttpListSource",
    "ImapSource",
    "JobKind",
    "JobStatus",
    "LifecycleStatus",
    "LoadFile",
    "MailSet",
    "MboxSource",
    "ObjectStoreSource",
    "PurviewExportSource",
    "Query",
    "RcloneSource",
    "SftpSource",
    "SlackExportSource",
    "SqlSource",
    "TaskResult",
    "TaskStatus",
    "VaultExportSource",
    "WebDavSource",
    "__version__",
    "collect",
    "export",
    "jobs",
    "verify",
]

_HOMES: Final = {
    "AutoExport": "flows",
    "BagOptions": "formats.bag_options",
    "CollectError": "errors",
    "DataSource": "blocks",
    "Dataset": "formats.dataset",
    "FileSource": "blocks",
    "HttpListSource": "blocks",
    "ImapSource": "blocks",
    "JobKind": "statuses",
    "JobStatus": "statuses",
    "LifecycleStatus": "statuses",
    "LoadFile": "formats.load_file",
    "MailSet": "formats.mail_set",
    "MboxSource": "blocks",
    "ObjectStoreSource": "blocks",
    "PurviewExportSource": "blocks",
    "RcloneSource": "blocks",
    "Query": "sources.query",
    "SftpSource": "blocks",
    "SlackExportSource": "blocks",
    "SqlSource": "blocks",
    "TaskResult": "job_folder.result",
    "TaskStatus": "statuses",
    "VaultExportSource": "blocks",
    "WebDavSource": "blocks",
    "collect": "flows",
    "export": "flows",
    "verify": "packages",
}


# Arrow's own allocator keeps 30 to 50 MB of what it freed. It reads this when it is imported.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

_exported, _ = names_later(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    """Import and return the public name."""
    if name == "jobs":
        return import_module("prefect_collect.jobs")
    if name == "__version__":
        from importlib.metadata import version

        return version("prefect-collect")
    return _exported(name)


def __dir__() -> list[str]:
    """Return the imported names, and the public names that are not imported yet."""
    return sorted({*globals(), *__all__})
