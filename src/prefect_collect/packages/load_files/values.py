"""What a load file states of items: the facts of `formats.facts`, as texts, from rows of the manifest."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from prefect_collect.errors import PackageError
from prefect_collect.escaping import one_line
from prefect_collect.formats.facts import METADATA
from prefect_collect.job_folder.manifest_rules import Batches
from prefect_collect.packages.load_files.message_hash import edrm_mih
from prefect_collect.packages.load_files.stated import listed_custodian, with_listed
from prefect_collect.sources.created import creation_time, exact_time
from prefect_collect.sources.metadata import CREATED, MODIFIED

MANIFEST_COLUMNS: Final = [
    "item_id",
    "path",
    "original_path",
    "size",
    "sha256",
    "md5",
    "sha1",
    "source_modified",
    "collected_at",
    "custodian",
    "metadata",
    "segment",
]
"""The columns of the manifest that a load file is made of."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MESSAGE: Final = {"subject": "subject", "message_id": "message_id"}
_PEOPLE: Final = ("from", "to", "cc", "bcc")
_SENT: Final = ("sent", "sent_utc", "sent_date", "sent_time")
CREATED_FACTS: Final = (CREATED, "created_utc", "created_date", "created_time")
"""The facts of a creation time; the others follow from the first."""

_MODIFIED: Final = ("modified", "modified_utc", "modified_date", "modified_time")
_STATED: Final = frozenset({*_MESSAGE, "edrm_mih", *_PEOPLE, *_SENT, *CREATED_FACTS, "family"})
OF_MESSAGES: Final = ("from", "to", "subject", "date", "date_text", "message_id")
"""What a source states of a message, by which it is known that it states something of its header."""

_NEEDED: Final = (("from",), ("subject",), ("date", "date_text"))
"""What is read in a message's header if the source does not state all of it."""


class ItemFacts:
    """The facts of a batch of the manifest, a column of texts each, which is made when it is asked for."""

    def __init__(self, batch: pa.RecordBatch, source: str) -> None:
        self.batch, self._source = batch, source
        self._stated: list[dict[str, Any]] | None = None

    def column(self, fact: str) -> list[str]:
        """Return the texts of a fact, "" where it is not known; not those that depend on the package."""
        if fact in _STATED or fact.startswith(METADATA):
            if not self._has_metadata():
                return [""] * self.batch.num_rows
            return [_stated(fact, found) for found in self._metadata()]
        if fact in _MODIFIED and self.batch["source_modified"].null_count and self._has_metadata():
            own = _COLUMNS[fact](self.batch)
            return [
                one or _of_time(fact, found.get(MODIFIED)) for one, found in zip(own, self._metadata(), strict=True)
            ]
        return _COLUMNS[fact](self.batch) if fact != "source" else [self._source] * self.batch.num_rows

    def custodians(self) -> list[str]:
        """Return whose the items are as lists of another system's export say, "" where none does."""
        if not self._has_metadata():
            return [""] * self.batch.num_rows
        return [_text(listed_custodian(found)) for found in self._metadata()]

    def needs_header(self) -> list[bool]:
        """Return which items are messages by their name, of which sender, subject or date is not stated."""
        return self._messages(lambda found: not all(any(map(found.get, names)) for names in _NEEDED))

    def silent_messages(self) -> list[bool]:
        """Return which items are messages by their name, of whose header nothing is known."""
        return self._messages(lambda found: not any(map(found.get, OF_MESSAGES)))

    def _messages(self, are: Callable[[dict[str, Any]], bool]) -> list[bool]:
        paths = self.batch["original_path"].to_pylist()
        named = [path is not None and path[-4:].lower() == ".eml" for path in paths]
        if not any(named):
            return named
        return [one and are(found) for one, found in zip(named, self._metadata(), strict=True)]

    def _has_metadata(self) -> bool:
        return self.batch["metadata"].null_count != self.batch.num_rows  # type: ignore[no-any-return]

    def _metadata(self) -> list[dict[str, Any]]:
        if self._stated is None:
            ids = self.batch["item_id"]
            self._stated = [_parsed(text, ids, at) for at, text in enumerate(self.batch["metadata"].to_pylist())]
        return self._stated


def states_created(manifest: Batches) -> bool:
    """Return whether the manifest states of any item when it was created."""
    for batch in manifest(["item_id", "metadata"]):
        if batch["metadata"].null_count == batch.num_rows:
            continue
        named = batch.filter(pc.match_substring(batch["metadata"], "created", ignore_case=True))
        if any(ItemFacts(named, "").column(CREATED)):
            return True
    return False


def _parsed(text: str | None, ids: Any, at: int) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        item = one_line(ids[at].as_py())
        raise PackageError(f"The manifest has metadata of an item that is no JSON. [{item}]") from error
    return with_listed(found) if isinstance(found, dict) else {}


def _stated(fact: str, found: dict[str, Any]) -> str:
    """Return what the source states of an item beside its bytes."""
    if fact.startswith(METADATA):
        value = found.get(fact.removeprefix(METADATA))
        return "; ".join(map(_text, value)) if isinstance(value, list) else _text(value)
    if fact == "family":
        family = found.get("family")
        return "" if family == [] else _text(family)
    if fact in _MESSAGE:
        return _text(found.get(_MESSAGE[fact]))
    if fact == "edrm_mih":
        return edrm_mih(_text(found.get("message_id")))
    if fact in _PEOPLE:
        people = found.get(fact)
        return "; ".join(map(_text, people)) if isinstance(people, list) else _text(people)
    if fact in CREATED_FACTS:
        return _of_time(fact, found.get(CREATED))
    at = found.get("date")
    if not isinstance(at, str):
        return _text(found.get("date_text")) if fact == "sent" else ""
    if fact == "sent":
        return at
    try:
        time = datetime.fromisoformat(at)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return time_text(time, fact.rpartition("_")[2])


def _of_time(fact: str, stated: object) -> str:
    """Return a fact of a file's time that is stated as text by ISO 8601 with a zone; "" for any other."""
    at = exact_time(stated) if fact in _MODIFIED else creation_time(stated)
    if at is None:
        return ""
    form = fact.rpartition("_")[2]
    return time_text(at, "zoned") if form == fact else time_text(at.astimezone(UTC), form)


def created_facts(created: str) -> dict[str, str]:
    """Return the facts of a creation time, by its first one."""
    return {fact: _of_time(fact, created) for fact in CREATED_FACTS}


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def time_text(at: datetime | None, form: str) -> str:
    """Return a time of UTC: ``zoned`` by ISO 8601, ``utc``, ``date`` or ``time``; "" for None."""
    if at is None:
        return ""
    if form == "zoned":
        return at.isoformat()
    day, clock = f"{at.year:04d}-{at.month:02d}-{at.day:02d}", f"{at.hour:02d}:{at.minute:02d}:{at.second:02d}"
    return {"utc": f"{day} {clock}", "date": day.replace("-", ""), "time": clock}[form]


def file_name(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def extension(name: str) -> str:
    """Return the extension of a file's name, without the dot; "" if there is none."""
    stem, _, last = name.rpartition(".")
    return last if stem.strip(".") and len(last) <= 32 else ""


def _times(column: str, form: str, batch: pa.RecordBatch) -> list[str]:
    micros = batch[column].cast(pa.int64()).to_pylist()  # pyarrow takes ten times as long to make datetimes itself
    return [time_text(None if at is None else _EPOCH + timedelta(microseconds=at), form) for at in micros]


def _hexed(column: str, batch: pa.RecordBatch) -> list[str]:
    return ["" if digest is None else digest.hex() for digest in batch[column].to_pylist()]


def _texts(column: str, batch: pa.RecordBatch) -> list[str]:
    return list(map(_text, batch[column].to_pylist()))


def _of_path(make: Callable[[str], str], batch: pa.RecordBatch) -> list[str]:
    return [make(path) for path in batch["original_path"].to_pylist()]


_COLUMNS: Final[dict[str, Callable[[pa.RecordBatch], list[str]]]] = {
    **{name: partial(_texts, name) for name in ("item_id", "original_path", "custodian", "size")},
    **{name: partial(_hexed, name) for name in ("sha256", "md5", "sha1")},
    "file_name": partial(_of_path, file_name),
    "extension": partial(_of_path, lambda path: extension(file_name(path))),
    "modified": partial(_times, "source_modified", "zoned"),
    "modified_utc": partial(_times, "source_modified", "utc"),
    "modified_date": partial(_times, "source_modified", "date"),
    "modified_time": partial(_times, "source_modified", "time"),
    "collected_utc": partial(_times, "collected_at", "utc"),
}
