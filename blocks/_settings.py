"""What a job's record says of a source's settings: those that decide what is collected, and no secrets."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any, Final

from prefect.blocks.core import Block

from prefect_collect.stores.addresses import is_signed, shown

_ELSEWHERE: Final = frozenset({"name", "lifecycle", "custodian", "root", "url"})
"""Fields that the record has in other places."""

_PACE: Final = frozenset({"connections", "connect_timeout", "read_timeout"})
"""Fields that decide how fast a source is read, and not what is."""

_MOST: Final = 40
_LONGEST: Final = 300


def settings_text(source: Block) -> str:
    """Return the settings of a source that are not their defaults, as a JSON object; "" if there are none.

    Only numbers, texts and lists of texts are recorded, each of a bounded length; an address without what signs it.
    Secrets and credentials are of other types.
    """
    found = _settings(source)
    return json.dumps(dict([*found.items()][:_MOST]), ensure_ascii=False) if found else ""


def _settings(source: Block) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in type(source).model_fields.items():
        value = getattr(source, name)
        if isinstance(value, Block):
            found |= {f"{name}.{inner}": of for inner, of in _settings(value).items()} if _is_source(value) else {}
        elif name not in _ELSEWHERE | _PACE and not field.is_required() and value != field.get_default():
            recorded = _recordable(value)
            found |= {} if recorded is None else {name: recorded}
    return found


def _is_source(block: Block) -> bool:
    return hasattr(block, "relist")


def _recordable(value: object) -> bool | int | float | str | None:
    """Return a value as the record has it; None if it is of a type that may hold a secret."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    if not isinstance(value, str | Path):
        return None
    text = str(value)
    text = shown(text) if "://" in text or is_signed(text) else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
