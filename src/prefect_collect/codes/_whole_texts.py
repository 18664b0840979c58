"""The texts of those codes of items that a whole source, store or job can have too."""

from __future__ import annotations

from typing import Final

WHOLE_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "access_denied": (
        "The data source does not allow the job to list or read it.",
        "Grant the job's credentials or user the right to list and read the source's folder, bucket, mailbox or "
        "database, then retry.",
    ),
    "address_refused": (
        "The data source's address, or a redirect of its server, is one that its rules do not allow.",
        "If it is a private address that may be read, allow it (`retry JOB --allow-private`, or the saved source's "
        "field allow_private); otherwise correct the source's address.",
    ),
    "not_found": (
        "The folder, bucket, mailbox, database or list that is the data source does not exist, or no longer.",
        "Correct the source's address; or restore, create or mount what it names. Then retry.",
    ),
    "changed_during_read": (
        "The data source changed while it was listed or read.",
        "Retry when nothing changes it; a retry collects it as it is then.",
    ),
    "checksum_mismatch": (
        "Bytes of the data source's listing do not have the checksum that it states.",
        "Retry; if the error persists, the source is damaged: restore it.",
    ),
    "segment_corrupt": (
        "A staged segment is lost, or its bytes are not the collected ones.",
        "Restore the segment in the staging store from a backup and retry, or collect its items again.",
    ),
    "ledger_corrupt": (
        "A ledger, inventory or manifest file of the job is damaged.",
        "Restore the file from a backup, or retry to collect its items again.",
    ),
    "too_large": (
        "A file of the job is larger than the store can hold in one object.",
        "Use a store without that limit, or collect in several jobs.",
    ),
    "path_unsafe": (
        "The data source's own path leads elsewhere.",
        "Name the place that it leads to as the source.",
    ),
    "name_too_long": (
        "The path of the data source, the staging store or the destination is longer than the system allows.",
        "Move or mount it under a shorter path, or use a place that allows longer names. Then retry.",
    ),
    "read_error": (
        "The data source could not be listed or read (an input/output error).",
        "Check the disk, share or database that is the source, then retry.",
    ),
    "invalid_item": (
        "The data source described what it holds wrongly, in a way that cannot be recorded or relied on.",
        "Correct what the message names in the data source, then retry.",
    ),
    "archived_object": (
        "What the job needs of the data source is in an archive tier.",
        "Restore it from its archive tier, then retry.",
    ),
    "encrypted_object": (
        "The data source is encrypted with a key that the job does not have.",
        "Allow the job's credentials to decrypt with that key, then retry.",
    ),
    "worker_lost": (
        "The process that ran the job ended before it was done.",
        "",
    ),
    "canceled": (
        "The job was canceled before it was done.",
        "",
    ),
}
"""Meaning and action by code; "" where the text of an item says it as well. Codes of items alone are not in it."""
