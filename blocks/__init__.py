"""The blocks that a user configures in Prefect: data sources, staging stores, destinations."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect_collect.blocks.cloud_store import CloudStoreBlock
    from prefect_collect.blocks.data_source import DataSource
    from prefect_collect.blocks.directory_store import DirectoryStoreBlock
    from prefect_collect.blocks.file_source import FileSource
    from prefect_collect.blocks.http_list_source import HttpListSource
    from prefect_collect.blocks.imap_source import ImapSource
    from prefect_collect.blocks.locate import source_from
    from prefect_collect.blocks.mbox_source import MboxSource
    from prefect_collect.blocks.object_store_source import ObjectStoreSource
    from prefect_collect.blocks.purview_export_source import PurviewExportSource
    from prefect_collect.blocks.rclone_source import RcloneSource
    from prefect_collect.blocks.s3_store import S3StoreBlock
    from prefect_collect.blocks.sftp_source import SftpSource
    from prefect_collect.blocks.slack_export_source import SlackExportSource
    from prefect_collect.blocks.sql_source import SqlSource
    from prefect_collect.blocks.vault_export_source import VaultExportSource
    from prefect_collect.blocks.webdav_source import WebDavSource

__all__ = [
    "CloudStoreBlock",
    "DataSource",
    "DirectoryStoreBlock",
    "FileSource",
    "HttpListSource",
    "ImapSource",
    "MboxSource",
    "ObjectStoreSource",
    "PurviewExportSource",
    "RcloneSource",
    "S3StoreBlock",
    "SftpSource",
    "SlackExportSource",
    "SqlSource",
    "VaultExportSource",
    "WebDavSource",
    "source_from",
]

_HOMES = {
    "CloudStoreBlock": "cloud_store",
    "DataSource": "data_source",
    "DirectoryStoreBlock": "directory_store",
    "FileSource": "file_source",
    "HttpListSource": "http_list_source",
    "ImapSource": "imap_source",
    "MboxSource": "mbox_source",
    "ObjectStoreSource": "object_store_source",
    "PurviewExportSource": "purview_export_source",
    "RcloneSource": "rclone_source",
    "S3StoreBlock": "s3_store",
    "SftpSource": "sftp_source",
    "SlackExportSource": "slack_export_source",
    "SqlSource": "sql_source",
    "VaultExportSource": "vault_export_source",
    "WebDavSource": "webdav_source",
    "source_from": "locate",
}


def __getattr__(name: str) -> Any:
    """Import a block at its first use, as importing Prefect and boto3 takes a second."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the blocks' names, so that ``prefect block register -m prefect_collect.blocks`` finds them."""
    return __all__
