"""What was asked for when a job was made, as rows of the side sheet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prefect_collect.formats.asked import asked_fields
from prefect_collect.job_folder.folder import JobRecord
from prefect_collect.pages.text import bytes_text

_TITLES: Final[Mapping[str, str]] = {
    "include": "Only paths like",
    "exclude": "Without paths like",
    "patterns": "List of patterns",
    "modified_after": "Modified at or after",
    "modified_before": "Modified before",
    "min_size": "Smallest size",
    "max_size": "Largest size",
    "limit": "At most this many items",
    "since": "Since",
    "on_empty": "If nothing is found",
    "tolerated_failure_percentage": "Tolerated failures (%)",
    "sha512": "SHA-512 manifests",
    "custodians": "Custodians by pattern",
    "hashes": "Hashes beside SHA-256",
    "collection_job": "Collection",
}
_SHOWN_ELSEWHERE: Final = ("custodian", "estimate")
_SIZES: Final = ("min_size", "max_size", "volume_bytes")
_MOST_LISTED: Final = 20
_LONGEST: Final = 1000


def asked_for(record: JobRecord) -> tuple[tuple[str, str], ...]:
    """Return a title and a value for each thing that was asked for: the place, the filters, and the options that are
    set.
    """
    location = str(record.source.get("location") or "")
    rows = [("Location of the source", location)] if location else []
    settings = {f"source: {name}": value for name, value in record.source_settings.items()}
    of_source = [(name.replace("_", " ").capitalize(), _setting(value)) for name, value in settings.items()]
    return (*rows, *of_source, *_rows(record.query), *_rows(record.options))


def _setting(value: Any) -> str:
    """Return the value of a setting that is not its default, "no" too."""
    return "no" if value is False else _text("", value)


def _rows(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, field, value in asked_fields(values):
        text = _text(field or name, value)
        if text and name not in _SHOWN_ELSEWHERE:
            title = _TITLES.get(name, name.replace("_", " ").capitalize())
            yield f"{title}: {field.replace('_', ' ')}" if field else title, text


def _text(name: str, value: Any) -> str:
    if value is None or value is False or value in ("", [], {}):
        return ""
    if value is True:
        return "yes"
    if name in _SIZES and isinstance(value, int):
        return bytes_text(value)
    if isinstance(value, list | tuple):
        if name == "custodians":
            value = [f"{one['pattern']}: {one['custodian']}" for one in value]
        more = [f"… {len(value) - _MOST_LISTED:,} more"] if len(value) > _MOST_LISTED else []
        return "\n".join([*(_clipped(str(one)) for one in value[:_MOST_LISTED]), *more])
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {one}" for key, one in value.items() if one not in (None, "", False))
    return _clipped(str(value))


def _clipped(text: str) -> str:
    """Return a text, or the beginning of a long one: the sheet is asked for again and again."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
