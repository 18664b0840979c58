"""The blocks that a user configures in Prefect: data sources, staging stores, destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prefect_collect.names_later import names_later

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

_HOMES: Final = {
    "CloudStoreBlock": "blocks.cloud_store",
    "DataSource": "blocks.data_source",
    "DirectoryStoreBlock": "blocks.directory_store",
    "FileSource": "blocks.file_source",
    "HttpListSource": "blocks.http_list_source",
    "ImapSource": "blocks.imap_source",
    "MboxSource": "blocks.mbox_source",
    "ObjectStoreSource": "blocks.object_store_source",
    "PurviewExportSource": "blocks.purview_export_source",
    "RcloneSource": "blocks.rclone_source",
    "S3StoreBlock": "blocks.s3_store",
    "SftpSource": "blocks.sftp_source",
    "SlackExportSource": "blocks.slack_export_source",
    "SqlSource": "blocks.sql_source",
    "VaultExportSource": "blocks.vault_export_source",
    "WebDavSource": "blocks.webdav_source",
    "source_from": "blocks.locate",
}

__getattr__, _ = names_later(__name__, _HOMES)


def __dir__() -> list[str]:
    """Return the blocks' names, so that ``prefect block register -m prefect_collect.blocks`` finds them."""
    return __all__
