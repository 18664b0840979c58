"""The fields of a form that say what a bag has beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect_collect.formats import FORMATS
from prefect_collect.formats.bag_options import BagOptions


def bag_fields(fields: Mapping[str, str], format: str, prefix: str = "") -> dict[str, Any] | None:
    """Return the options of a bag that a form asks for; None for none, or another format. Raise UsageError."""
    if format not in FORMATS or "bag" not in FORMATS[format].options:  # type: ignore[index]
        return None
    lines = fields.get(f"{prefix}bag_tags", "").splitlines()
    profile = fields.get(f"{prefix}bag_profile", "").strip() or None
    return BagOptions(tuple(line.strip() for line in lines if line.strip()), profile).to_json() or None
