"""Reads load-file.json: how a package's load files are written, and what it counts."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from typing import Any

from prefect_collect.archive.problems import Damaged
from prefect_collect.formats.facts import REQUIRED, is_fact
from prefect_collect.packages.load_files.lists import VERSION
from prefect_collect.packages.load_files.text import CODECS


@dataclass(frozen=True, slots=True)
class Description:
    """What load-file.json says; its field ``load_file`` is the version."""

    load_file: int
    tool: str
    encoding: str
    prefix: str
    width: int
    found: int
    delivered: int
    exceptions: int
    tables: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    volumes: tuple[dict[str, Any], ...]
    chain_of_custody: bool = False
    continues: str | None = None

    def column(self, fact: str) -> int | None:
        """Return the place of the column of that fact; None if there is none."""
        return next((at for at, (_, one) in enumerate(self.columns) if one == fact), None)


def read_description(data: bytes) -> Description:
    """Return what the file says. Raise Damaged."""
    try:
        said = json.loads(data)
        values: dict[str, Any] = {
            field.name: said[field.name]
            for field in fields(Description)
            if field.name in said or field.default is MISSING
        }
        made = Description(**{name: _frozen(value) for name, value in values.items()})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Damaged("it cannot be read as the description of a load file") from error
    if made.load_file != VERSION:
        raise Damaged(f"it is of version {made.load_file!s:.20}, and only version {VERSION} is known")
    whole = (made.width, made.found, made.delivered, made.exceptions)
    lists = (made.columns, made.volumes)
    facts = [column[1] for column in made.columns if _is_column(column)] if isinstance(made.columns, tuple) else []
    if (
        not all(isinstance(one, tuple) for one in lists)
        or not all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in whole)
        or not (isinstance(made.tool, str) and isinstance(made.prefix, str) and isinstance(made.encoding, str))
        or made.encoding not in CODECS
        or not isinstance(made.chain_of_custody, bool)
        or not isinstance(made.continues, str | None)
        or made.tables not in (("dat",), ("csv",), ("dat", "csv"))
        or len(facts) != len(made.columns)
        or any(facts.count(fact) != 1 for fact in REQUIRED)
        or not all(_is_volume(volume) for volume in made.volumes)
    ):
        raise Damaged("it cannot be read as the description of a load file")
    return made


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _is_column(column: Any) -> bool:
    return (
        isinstance(column, tuple)
        and len(column) == 2
        and all(isinstance(text, str) for text in column)
        and isinstance(column[1], str)
        and is_fact(column[1])
    )


def _is_volume(volume: Any) -> bool:
    return (
        isinstance(volume, dict)
        and volume.keys() == {"name", "items", "bytes", "texts"}
        and isinstance(volume["name"], str)
        and all(isinstance(volume[key], int) and volume[key] >= 0 for key in ("items", "bytes", "texts"))
    )
