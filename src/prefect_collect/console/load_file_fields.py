"""The fields of a form that say how a load file is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prefect_collect.console.page_query import bytes_of
from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMATS
from prefect_collect.formats.load_file import LoadFile

_TEXTS: Final = ("prefix", "profile", "tables", "encoding", "unencodable", "continue_from")
_NUMBERS: Final = ("width", "volume_items")


def load_file_fields(fields: Mapping[str, str], format: str, prefix: str = "") -> dict[str, Any] | None:
    """Return the options of a load file that a form asks for; None for another format. Raise UsageError."""
    if format not in FORMATS or "load_file" not in FORMATS[format].options:  # type: ignore[index]
        return None
    given = {name: fields.get(f"{prefix}lf_{name}", "").strip() for name in (*_TEXTS, *_NUMBERS, "volume_bytes")}
    made: dict[str, Any] = {name: value for name, value in given.items() if value}
    if lines := fields.get(f"{prefix}lf_lines", "").strip():
        made["profile"] = f"{lines}\n"
    for name in _NUMBERS:
        if name in made:
            if not made[name].isascii() or not made[name].isdigit() or len(made[name]) > 15:
                raise UsageError(f"{name} must be a whole number of 1 or more. [{name}={made[name]:.40}]")
            made[name] = int(made[name])
    if "volume_bytes" in made:
        size = bytes_of(made["volume_bytes"])
        if size is None:
            raise UsageError(
                f"volume_bytes must be a size such as 700 MB or 4 GiB. [volume_bytes={given['volume_bytes']:.40}]"
            )
        made["volume_bytes"] = size
    return LoadFile.of(made).to_json()
