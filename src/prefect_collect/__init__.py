"""Collection and export jobs on Prefect that account for every item they touch.

    from prefect_collect import FileSource, collect, export, jobs

    state = collect(source=FileSource(name="docs", root="docs"), return_state=True)
    job = jobs.get(state.state_details.flow_run_id)

Jobs:

    collect              Collect the items of a data source into a staging store, and account for every one of them.
    export               Export what a collection holds as a package that proves its own completeness.
    jobs                 The Python API for jobs: list, estimate, draft, start, retry, cancel, delete, preview, open
                         items, export, download.
    verify               Check a package: a ZIP or TAR file or the folder of a bag, by its path or URL, or by its key in
                         `store`.
    Query                Filters over the items of a source; an item is taken if it passes all of them.
    AutoExport           An export that is created with a collection, and starts by itself when the collection is done.
    BagOptions           The options of an export as a bag.
    LoadFile             The options of an export as a load file.
    MailSet              The options of an export as mail.
    Dataset              The options of an export as a dataset.
    TaskResult           The result of an attempt; `counts` are of the whole job after that attempt.
    JobKind              The kind of a job.
    JobStatus            The status of a job; the value is the documented word, which is also the name of the job's
                         Prefect state.
    TaskStatus           The status of one attempt of a job: the specification's operation statuses.
    LifecycleStatus      The status of a data source; jobs start only on an ACTIVE one.
    CollectError         The base class of all errors of prefect-collect; its message is one line that can be shown to a
                         user.

Data sources, which are blocks of Prefect:

    FileSource           A directory tree, or a single file.
    ObjectStoreSource    The objects of a bucket whose keys begin with a prefix.
    SftpSource           A folder on an SFTP server, or a single file, read over the system's ``ssh``.
    WebDavSource         A folder on a WebDAV server (Nextcloud, ownCloud, SharePoint on premises, Apache), or a single
                         file.
    RcloneSource         A folder of a cloud drive that rclone reads: Google Drive, OneDrive and SharePoint, Dropbox,
                         Box and many more.
    HttpListSource       What a list of URLs leads to, by HTTP; each URL is an item.
    ImapSource           The messages of a mailbox on an IMAP server, as they are: nothing is marked as read or changed.
    MboxSource           The messages of mbox files: of one file, or of all files of a folder or bucket.
    SqlSource            The tables of a database (PostgreSQL, MariaDB or MySQL, SQLite), or the rows of a query, as
                         Parquet files.
    VaultExportSource    An export of Google Vault, as it was downloaded: its ZIP files, metadata, error reports and
                         checksums.
    PurviewExportSource  An export of Microsoft Purview eDiscovery, as it was downloaded: its ZIP files and its reports.
    SlackExportSource    An export of Slack, as it was downloaded: a ZIP file, or the folder that it was unpacked to.
    DataSource           The base class of data sources.

Import names by name, as above: `import *` brings none. Each is imported when it is first used, so that importing this
package does not import Prefect; `help(prefect_collect.collect)` and the like say more of each.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from prefect_collect.names_later import names_later

if TYPE_CHECKING:
    from prefect_collect import jobs as jobs
    from prefect_collect.blocks import DataSource as DataSource
    from prefect_collect.blocks import FileSource as FileSource
    from prefect_collect.blocks import HttpListSource as HttpListSource
    from prefect_collect.blocks import ImapSource as ImapSource
    from prefect_collect.blocks import MboxSource as MboxSource
    from prefect_collect.blocks import ObjectStoreSource as ObjectStoreSource
    from prefect_collect.blocks import PurviewExportSource as PurviewExportSource
    from prefect_collect.blocks import RcloneSource as RcloneSource
    from prefect_collect.blocks import SftpSource as SftpSource
    from prefect_collect.blocks import SlackExportSource as SlackExportSource
    from prefect_collect.blocks import SqlSource as SqlSource
    from prefect_collect.blocks import VaultExportSource as VaultExportSource
    from prefect_collect.blocks import WebDavSource as WebDavSource
    from prefect_collect.errors import CollectError as CollectError
    from prefect_collect.flows import AutoExport as AutoExport
    from prefect_collect.flows import collect as collect
    from prefect_collect.flows import export as export
    from prefect_collect.formats.bag_options import BagOptions as BagOptions
    from prefect_collect.formats.dataset import Dataset as Dataset
    from prefect_collect.formats.load_file import LoadFile as LoadFile
    from prefect_collect.formats.mail_set import MailSet as MailSet
    from prefect_collect.job_folder.result import TaskResult as TaskResult
    from prefect_collect.packages import verify as verify
    from prefect_collect.sources.query import Query as Query
    from prefect_collect.statuses import JobKind as JobKind
    from prefect_collect.statuses import JobStatus as JobStatus
    from prefect_collect.statuses import LifecycleStatus as LifecycleStatus
    from prefect_collect.statuses import TaskStatus as TaskStatus

    __version__: str

if not TYPE_CHECKING:
    # With names in it, help of the package would print all that blocks inherit. Type checkers take no name for public
    # that it lacks.
    __all__ = []

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
    return sorted({*globals(), *_HOMES, "jobs", "__version__"})
