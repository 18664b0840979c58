"""The fields of a form that say what a bag has beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from prefect_collect.console.page_query import bytes_of
from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMATS
from prefect_collect.formats.bag_options import BagOptions, Volumes


def bag_fields(fields: Mapping[str, str], format: str, prefix: str = "") -> dict[str, Any] | None:
    """Return the options of a bag that a form asks for; None for none, or another format. Raise UsageError."""
    if format not in FORMATS or "bag" not in FORMATS[format].options:  # type: ignore[index]
        return None
    lines = fields.get(f"{prefix}bag_tags", "").splitlines()
    profile = fields.get(f"{prefix}bag_profile", "").strip() or None
    tags = tuple(line.strip() for line in lines if line.strip())
    if format != "bagit-group":
        return BagOptions(tags, profile).to_json() or None
    typed = fields.get(f"{prefix}bag_size", "").strip()
    size = bytes_of(typed) if typed else None
    if typed and size is None:
        raise UsageError(f"The size of each bag must be a size such as 700 MB or 4 GiB. [volume_bytes={typed:.40}]")
    volumes = cast("Volumes", fields.get(f"{prefix}bag_volumes", "zip"))
    return BagOptions(tags, profile, size, volumes).to_json() or None
