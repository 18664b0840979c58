"""The error codes of items and jobs: stable strings, each with what it means and what a person can do.

The codes are an interface: scripts filter error reports by them, so a code is never renamed or given another
meaning. `docs/error-codes.md` is written from this table (a test holds them together).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Category(StrEnum):
    """What kind of trouble a code stands for, to group a report by."""

    PERMISSION = "permission"
    MISSING = "missing"
    CHANGED = "changed"
    INTEGRITY = "integrity"
    NETWORK = "network"
    CAPACITY = "capacity"
    NAME = "name"
    CONTENT = "content"
    JOB = "job"


class Who(StrEnum):
    """Who has to act before a retry can succeed."""

    NOBODY = "nobody"
    """A retry alone may do."""
    SOURCE_OWNER = "owner of the data source"
    STORE_OWNER = "owner of the staging store or destination"
    JOB_OWNER = "whoever runs the job"


@dataclass(frozen=True, slots=True)
class Code:
    """One error code: its meaning, the action to suggest, who must act, and whether a later try may succeed by itself."""

    name: str
    category: Category
    meaning: str
    action: str
    who: Who
    retryable: bool


_TABLE = (
    # name, category, meaning, action, who, retryable
    Code("access_denied", Category.PERMISSION, "The data source does not let the job read the item.",
         "Grant read access to the item for the credentials or the user the job runs as, then retry.", Who.SOURCE_OWNER, False),
    Code("bad_credentials", Category.PERMISSION, "The data source does not accept the credentials.",
         "Correct the credentials block or environment variables of the data source, then retry.", Who.JOB_OWNER, False),
    Code("not_found", Category.MISSING, "The item, or the bucket or folder it was in, is no longer there.",
         "Restore it at the source, or accept its absence; then retry.", Who.SOURCE_OWNER, False),
    Code("changed_during_read", Category.CHANGED, "The item was changed between listing and the end of reading.",
         "Retry when nothing writes to the item; a retry takes it as it is then.", Who.NOBODY, True),
    Code("checksum_mismatch", Category.INTEGRITY, "What arrived does not have the checksum that the source states.",
         "Retry; if it stays, the item is damaged at the source: restore it there.", Who.SOURCE_OWNER, True),
    Code("truncated", Category.INTEGRITY, "Fewer bytes arrived than the source announced.",
         "Retry; if it stays, check the network and proxies between the worker and the source.", Who.NOBODY, True),
    Code("throttled", Category.NETWORK, "The data source asked to slow down, to the last try.",
         "Retry later, or lower the job's concurrency.", Who.NOBODY, True),
    Code("timeout", Category.NETWORK, "The data source did not answer in time.",
         "Check that the source is up and reachable, then retry.", Who.NOBODY, True),
    Code("connection_lost", Category.NETWORK, "The data source could not be reached, or the connection broke.",
         "Check that the source is up and reachable from the worker, then retry.", Who.NOBODY, True),
    Code("source_error", Category.NETWORK, "The data source answered with an internal error.",
         "Retry later; if it stays, ask whoever runs the data source.", Who.SOURCE_OWNER, True),
    Code("read_error", Category.CONTENT, "The item could not be read (an input/output error).",
         "Check the disk or share that holds the item, then retry.", Who.SOURCE_OWNER, True),
    Code("archived_object", Category.CONTENT, "The object is in an archive tier and must be restored before it can be read.",
         "Restore the object from its archive tier, then retry.", Who.SOURCE_OWNER, False),
    Code("encrypted_object", Category.CONTENT, "The object is encrypted with a key that the job does not have.",
         "Give the job's credentials the right to decrypt with that key, then retry.", Who.SOURCE_OWNER, False),
    Code("quota_exceeded", Category.CAPACITY, "A quota of the staging store or the destination is used up.",
         "Raise the quota or free space, then retry.", Who.STORE_OWNER, False),
    Code("disk_full", Category.CAPACITY, "The staging store or the destination has no space left.",
         "Free space or name another store, then retry.", Who.STORE_OWNER, False),
    Code("too_large", Category.CAPACITY, "The item is larger than the store can hold in one object.",
         "Use a store without that limit, or exclude the item.", Who.JOB_OWNER, False),
    Code("path_unsafe", Category.NAME, "The item's path would lead outside the place it belongs in.",
         "Collect what it points to as a source of its own, or exclude the item.", Who.JOB_OWNER, False),
    Code("path_collision", Category.NAME, "Two items would land on one path at the destination.",
         "Export as bagit (ZIP), or to a case-sensitive file system, then retry.", Who.JOB_OWNER, False),
    Code("special_file", Category.CONTENT, "It is a socket, device or pipe, which has no content to collect.",
         "Nothing to do; exclude it to keep it out of the report.", Who.NOBODY, False),
    Code("symlink", Category.CONTENT, "It is a symbolic link, and links are not followed.",
         "Nothing to do; set follow_symlinks to collect what it points to.", Who.NOBODY, False),
    Code("empty_folder", Category.CONTENT, "The folder holds nothing to collect.",
         "Nothing to do.", Who.NOBODY, False),
    Code("segment_corrupt", Category.INTEGRITY, "The staged segment that holds the item is lost, or its bytes are not the collected ones.",
         "Restore the segment in the staging store from a backup and retry, or collect the item again.", Who.STORE_OWNER, False),
    Code("evidence_corrupt", Category.INTEGRITY, "A file of the job in the staging store cannot be read back as it was written.",
         "Restore the file in the staging store from a backup, then retry.", Who.STORE_OWNER, False),
    Code("ledger_corrupt", Category.INTEGRITY, "The ledger, inventory or manifest file that accounts for the item is damaged.",
         "Restore the file from a backup, or retry to collect its items again.", Who.STORE_OWNER, True),
    Code("store_error", Category.CAPACITY, "The staging store or the destination refused an operation.",
         "Read the message, check the store, then retry.", Who.STORE_OWNER, True),
    Code("store_access_denied", Category.PERMISSION, "The staging store or the destination does not let the job write.",
         "Grant write access to the store for the job's credentials or user, then retry.", Who.STORE_OWNER, False),
    Code("store_unavailable", Category.NETWORK, "The staging store or the destination did not answer.",
         "Check that the store is up and reachable, then retry.", Who.STORE_OWNER, True),
    Code("store_unsafe", Category.JOB, "The staging store ignores conditional creates, so it cannot keep two writers apart.",
         "Use a store that supports If-None-Match, or set single_writer if nothing else ever writes there.", Who.JOB_OWNER, False),
    Code("destination_exists", Category.NAME, "The destination already holds something under that name.",
         "Name another destination or another name, or remove what is there.", Who.JOB_OWNER, False),
    Code("package_error", Category.JOB, "The package could not be put together.",
         "Read the message, then retry.", Who.JOB_OWNER, True),
    Code("enumeration_failed", Category.JOB, "The data source could not be listed to the end.",
         "See the message for what stopped it; a retry lists the source again and keeps what was collected.", Who.SOURCE_OWNER, True),
    Code("nothing_matched", Category.JOB, "No item at the source matched the query.",
         "Check the path, the prefix and the filters of the query.", Who.JOB_OWNER, False),
    Code("worker_lost", Category.JOB, "The process that worked on the item ended before it was done.",
         "Retry: it takes up exactly what is missing.", Who.NOBODY, True),
    Code("canceled", Category.JOB, "The job was canceled before the item was done.",
         "Start the job again: it takes up exactly what is missing.", Who.JOB_OWNER, True),
    Code("threshold_exceeded", Category.JOB, "More items failed than tolerated_failure_percentage allows, so the job stopped early.",
         "Mend the cause of the failures, or raise the tolerance; then retry.", Who.JOB_OWNER, True),
    Code("source_inactive", Category.JOB, "The data source is SUSPENDED or ARCHIVED.",
         "Set the data source ACTIVE, then start the job.", Who.JOB_OWNER, False),
    Code("collection_deleted", Category.JOB, "The collection that the export is made from was deleted.",
         "Collect again, then export the new collection.", Who.JOB_OWNER, False),
    Code("unexpected_error", Category.JOB, "Something happened that prefect-collect does not know.",
         "Read the message; retry, and report it if it stays.", Who.JOB_OWNER, True),
)  # fmt: skip

CODES: Final[dict[str, Code]] = {code.name: code for code in _TABLE}
"""Every code by its name."""
