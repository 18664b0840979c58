"""A new collection as the fields of its form describe it: the source, the query, the store, the export to follow."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, cast, get_args

from prefect.blocks.core import Block
from pydantic import ValidationError

from prefect_collect import jobs
from prefect_collect.blocks.data_source import DataSource
from prefect_collect.blocks.locate import inside_source, source_at
from prefect_collect.collecting.custodians import Custodians
from prefect_collect.console.credential_choices import picked_of
from prefect_collect.console.duplicate_fields import duplicate_fields
from prefect_collect.console.format_fields import format_fields
from prefect_collect.console.forms import is_checked, require_whole
from prefect_collect.errors import InvalidQuery, SourceNotFound, UsageError
from prefect_collect.escaping import one_line
from prefect_collect.flows.auto_exports import AutoExport
from prefect_collect.parameters import Hash, size_of
from prefect_collect.sources.query import Query
from prefect_collect.stores.addresses import INSIDE, SOURCE_URLS, STORE_BLOCKS, listed, require_meant

_BLOCK_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_TEXTS: Final = ("endpoint_url", "region")
_CHOICES: Final = ("anonymous", "request_payer", "follow_symlinks", "allow_private")
_REVEALED: Final = {"include_secrets": True}
_LABELS: Final = {"min_size": "The smallest size", "max_size": "The largest size", "limit": "The number of items"}

Fields = Mapping[str, str]


def source_of(fields: Fields) -> DataSource:
    """Return the source that the form names: a saved one, or a new one that is not saved yet.

    Raises:
        UsageError: A field cannot be used.
    """
    if fields.get("from") == "saved":
        chosen = fields.get("source", "")
        if not chosen:
            raise UsageError("Pick a saved source, or describe a new one. [source]")
        block = jobs.saved_block(chosen)
        if not isinstance(block, DataSource):
            raise SourceNotFound(f"This block is no data source. [source={chosen}]")
        return block
    location = fields.get("location", "").strip()
    if not location:
        raise UsageError(f"Type where the items are: a folder, or {listed(SOURCE_URLS.values(), 'or')}. [location]")
    naming: dict[str, Any] = {"name": name} if (name := fields.get("source_name", "").strip()) else {}
    kind, is_inside, files = location.partition(":")
    if is_inside and kind in INSIDE:
        require_whole(files, "location")
        holder = _new_source(fields, files, {})
        return cast("DataSource", _checked(lambda: inside_source(kind, holder, naming)))
    require_whole(location, "location")
    return _new_source(fields, location, naming)


def _new_source(fields: Fields, location: str, naming: dict[str, Any]) -> DataSource:
    """Return the source at a path or URL, with the form's options. Raise UsageError for one that it does not have."""
    given: dict[str, Any] = {name: text for name in _TEXTS if (text := fields.get(name, "").strip())}
    given |= {name: True for name in _CHOICES if is_checked(fields, name)}
    given |= jobs.picked_credentials(location, picked_of(fields))
    url = location if "://" in location else f"file://{location}"
    return cast("DataSource", _checked(lambda: source_at(url, {**given, **naming})))


def saved_source(fields: Fields) -> DataSource:
    """Return the source of the form, saved in Prefect if the form gives a new one a name to be saved under.

    A form that was refused after its source was saved is sent again, so the same source may have that name already.

    Raises:
        UsageError: A field cannot be used, or another source has the name.
    """
    source = source_of(fields)
    name = fields.get("save_as", "").strip()
    if not name or fields.get("from") == "saved":
        return source
    if _BLOCK_NAME.fullmatch(name) is None:
        raise UsageError(f"A block's name has lower-case letters, digits and single dashes only. [save_as={name}]")
    save: Any = source.save
    try:
        save(name)
    except ValueError as error:
        load: Any = type(source).load
        before: DataSource = load(name)
        if _fields(before) != _fields(source):
            taken = f"Another source is already saved under this name; take another name. [save_as={name}]"
            raise UsageError(taken) from error
        return before
    return source


def _fields(source: DataSource) -> dict[str, Any]:
    """Return a source's own fields; a saved one is dumped with its name in Prefect, too."""
    dumped = source.model_dump(mode="json", context=_REVEALED)
    return {name: dumped.get(name) for name in type(source).model_fields}


def _custodians(fields: Fields) -> list[dict[str, str]] | None:
    """Return the patterns and their custodians, of lines as ``PATTERN=NAME``. Raise UsageError."""
    lines = _lines(fields.get("custodians", ""))
    if any("=" not in line for line in lines):
        raise UsageError("Each line of Custodians by pattern is PATTERN=NAME, as mail/anna/**=Anna Lee. [custodians]")
    parts = [line.rpartition("=") for line in lines]
    entries = [{"pattern": pattern, "custodian": name} for pattern, _, name in parts]
    return [dict(one) for one in Custodians(patterns=entries).patterns] or None


def query_of(fields: Fields) -> Query:
    """Return the query of the form's filters. Raise InvalidQuery."""
    return Query.of(
        {
            "include": _lines(fields.get("include", "")),
            "exclude": _lines(fields.get("exclude", "")),
            "modified_after": fields.get("modified_after", "").strip() or None,
            "modified_before": fields.get("modified_before", "").strip() or None,
            "min_size": _size(fields, "min_size"),
            "max_size": _size(fields, "max_size"),
            "limit": _number(fields, "limit"),
        }
    )


def collection_parameters(fields: Fields, source: DataSource) -> dict[str, Any]:
    """Return the parameters of a collection of that source, for `jobs.draft_collection`.

    Raises:
        UsageError: A field cannot be used.
    """
    query = query_of(fields).to_json()
    return {
        "source": source,
        "query": query or None,
        "name": fields.get("name", "").strip() or None,
        "store": store_of(fields),
        "custodian": fields.get("custodian", "").strip() or None,
        "custodian_folder": fields.get("custodian_folder", "").strip() or None,
        "custodians": _custodians(fields),
        "auto_export": _auto_export(fields),
        "since": "last" if is_checked(fields, "since") else None,
        "hashes": [name for name in get_args(Hash) if is_checked(fields, f"hash_{name}")] or None,
        "compress": True if is_checked(fields, "compress") else None,
    }


def timing_of(fields: Fields) -> dict[str, Any]:
    """Return when the form's schedule starts collections, for `jobs.schedule_collection`. Raise UsageError."""
    zone = fields.get("timezone", "").strip() or "UTC"
    cron = fields.get("cron", "").strip()
    if cron:
        return {"cron": cron, "timezone": zone}
    hours = fields.get("every_hours", "").strip()
    if re.fullmatch(r"\d{1,4}", hours, re.ASCII) is None or int(hours) == 0:
        raise UsageError("A schedule needs a cron expression, or a number of hours between two starts. [schedule]")
    return {"every": timedelta(hours=int(hours)), "timezone": zone}


def store_of(fields: Fields) -> Block | str | None:
    """Return the staging store: a saved block, a typed location, or None for the default one."""
    if chosen := fields.get("store", ""):
        return jobs.saved_block(chosen)
    return require_whole(fields.get("store_location", "").strip(), "store_location") or None


def _auto_export(fields: Fields) -> AutoExport | None:
    """Return the export that is to follow; None if none is asked for."""
    if not is_checked(fields, "export"):
        return None
    destination = fields.get("export_destination", "") or fields.get("export_location", "").strip()
    if not destination:
        raise UsageError(
            "Pick a saved destination for the export, or type a folder or s3://bucket/prefix (gs:// and az:// alike). "
            "[export]"
        )
    require_meant(destination, "destination")
    if not destination.startswith(STORE_BLOCKS) and destination.startswith("collect-"):
        raise UsageError(f"There is no such kind of store. [destination={destination}]")
    given = {
        "destination": require_whole(destination, "export_location"),
        "format": fields.get("export_format", "bagit"),
        "when": fields.get("export_when", "completed"),
        "name": fields.get("export_name", "").strip() or None,
        "sha512": is_checked(fields, "export_sha512"),
        "portable_names": is_checked(fields, "export_portable_names"),
        **format_fields(fields, fields.get("export_format", "bagit"), "export_"),
        **duplicate_fields(fields, "export_"),
    }
    return cast("AutoExport", _checked(lambda: AutoExport.model_validate(given)))


def _checked(make: Callable[[], Any]) -> Any:
    """Return what is made. Raise UsageError, with the fields that are wrong, if it is not valid."""
    try:
        return make()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise UsageError(f"A field cannot be used: {one_line(wrong)} [form]") from error


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _size(fields: Fields, name: str) -> int | None:
    """Return a size as bytes, from ``1500``, ``10 MB`` or ``1.5 GiB``, in binary units as everywhere."""
    text = fields.get(name, "").strip()
    if not text:
        return None
    size = size_of(text)
    if size is None:
        raise InvalidQuery(f"{_LABELS[name]} must be a size such as 1500, 10 MB or 1.5 GiB, not {text!r}. [{name}]")
    return size


def _number(fields: Fields, name: str) -> int | None:
    text = fields.get(name, "").strip()
    if not text:
        return None
    if re.fullmatch(r"\d{1,15}", text, re.ASCII) is None:
        raise InvalidQuery(f"{_LABELS[name]} must be a whole number of 0 or more, not {text!r}. [{name}]")
    return int(text)
