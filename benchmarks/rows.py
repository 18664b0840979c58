"""Every row (or group of rows) of RESULTS.md by its name for --only; `shares` has them in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.clouds import azure, google
from benchmarks.commands import commands
from benchmarks.console_polling import console_polling
from benchmarks.context import Bench
from benchmarks.databases import maria, postgresql
from benchmarks.drives import drive_big, drive_to_files
from benchmarks.exports import export_formats, export_s3, export_s3_seaweedfs, export_zip, verify_zip
from benchmarks.foreign_exports import slack, vault
from benchmarks.limits import Limit, ledger, prefect_share, s3_listing
from benchmarks.mailboxes import imap
from benchmarks.many_items import many_items
from benchmarks.mbox_files import mbox
from benchmarks.measure import Comparison
from benchmarks.objects import (
    big_to_files,
    big_to_files_slow,
    files_to_s3,
    s3_to_files,
    s3_to_files_latency,
    s3_to_files_seaweedfs,
    s3_to_s3,
)
from benchmarks.processes import processes
from benchmarks.serve_start import serve_start
from benchmarks.sftp import sftp_big, sftp_to_files, sftp_to_files_latency
from benchmarks.urls import urls_to_files, urls_to_files_latency
from benchmarks.webdav import webdav_big, webdav_to_files, webdav_to_files_latency
from benchmarks.workers import workers

Measure = Callable[[Bench], Comparison | Sequence[Comparison] | list[Limit]]
"""Starts the servers of a group of rows and makes its data; returns what is to be compared, or values."""

ROWS: Final[dict[str, Measure]] = {
    "s3-files": s3_to_files,
    "s3-files-20ms": s3_to_files_latency,
    "s3-files-seaweedfs": s3_to_files_seaweedfs,
    "s3-s3": s3_to_s3,
    "files-s3": files_to_s3,
    "big-files": big_to_files,
    "big-files-slow": big_to_files_slow,
    "export-zip": export_zip,
    "verify-zip": verify_zip,
    "commands": commands,
    "prefect-share": prefect_share,
    "serve": serve_start,
    "processes": processes,
    "workers": workers,
    "ledger": ledger,
    "s3-listing": s3_listing,
    "many-items": many_items,
    "sftp-files": sftp_to_files,
    "sftp-files-20ms": sftp_to_files_latency,
    "sftp-big": sftp_big,
    "webdav-files": webdav_to_files,
    "webdav-files-20ms": webdav_to_files_latency,
    "webdav-big": webdav_big,
    "urls-files": urls_to_files,
    "urls-files-20ms": urls_to_files_latency,
    "rclone-files": drive_to_files,
    "rclone-big": drive_big,
    "google": google,
    "azure": azure,
    "imap": imap,
    "postgresql": postgresql,
    "mariadb": maria,
    "vault": vault,
    "slack": slack,
    "mbox": mbox,
    "export-s3": export_s3,
    "export-s3-seaweedfs": export_s3_seaweedfs,
    "export-formats": export_formats,
    "console-polling": console_polling,
}
