"""The facts that columns of load files hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FACTS: Final[Mapping[str, str]] = {
    "control_number": "the item's number",
    "end_number": "the same number again, for receivers who want a first and a last one",
    "custodian": "whose data it is",
    "source": "the data source that it was collected from",
    "item_id": "the source's id of it",
    "original_path": "its path in the source",
    "file_name": "the last part of that path",
    "extension": "the extension of that name, without the dot",
    "size": "its bytes",
    "md5": "the MD5 of its bytes, if the collection computed it",
    "sha1": "the SHA-1 of its bytes, if the collection computed it",
    "sha256": "the SHA-256 of its bytes",
    "created": "when the source says it was created, with its zone (UTC, or that of a list of another system's export)",
    "created_utc": "the same in UTC, as YYYY-MM-DD HH:MM:SS",
    "created_date": "the date of it in UTC, as YYYYMMDD",
    "created_time": "the time of it in UTC, as HH:MM:SS",
    "modified": "when the source says it was modified, with its zone (manifests keep UTC)",
    "modified_utc": "the same in UTC, as YYYY-MM-DD HH:MM:SS",
    "modified_date": "the date of it in UTC, as YYYYMMDD",
    "modified_time": "the time of it in UTC, as HH:MM:SS",
    "collected_utc": "when it was collected, in UTC, as YYYY-MM-DD HH:MM:SS",
    "from": "of a message: its sender",
    "to": "of a message: its receivers, with ; between them",
    "cc": "of a message: who got a copy",
    "bcc": "of a message: who got a blind copy",
    "subject": "of a message: its subject",
    "sent": "of a message: its date, with the zone that it states",
    "sent_utc": "the same in UTC, as YYYY-MM-DD HH:MM:SS",
    "sent_date": "the date of it in UTC, as YYYYMMDD",
    "sent_time": "the time of it in UTC, as HH:MM:SS",
    "message_id": "of a message: its Message-ID",
    "edrm_mih": "of a message: the EDRM message identification hash, which is the MD5 of its Message-ID",
    "family": "what a list of another system's export says which items belong together, such as Purview's Family_ID",
    "family_begin": "the first number of the items of its family, if they are numbered one after the other",
    "family_end": "the last number of them",
    "duplicate_of": "the control number of the item that has the same bytes, or JOB/ID of an item of an earlier job",
    "all_custodians": "the custodians of the item and of those that are not delivered because it is, with ; between",
    "all_paths": "the original paths of these, with ; between",
    "native_path": "the path of the item's file from the volume's folder",
    "text_path": "the path of its text from the volume's folder, if the item is text",
}
"""What a column can hold, and what it is."""

METADATA: Final = "metadata."
"""What a fact of a profile of one's own may begin with: the rest is a name in what the source states of items."""

FAMILY_RANGE: Final = ("family_begin", "family_end")
"""The facts of which a preset has columns only in load files with an item that states a family."""

REQUIRED: Final = ("control_number", "native_path")
"""The facts of which a profile needs a column: by them the package is verified."""


def is_fact(text: str) -> bool:
    """Return whether the text names a fact: one of `FACTS`, or `METADATA` and a name in what sources state of items."""
    return text in FACTS or (text.startswith(METADATA) and len(METADATA) < len(text) <= 110)
