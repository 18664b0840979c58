"""What was asked of a package's format, for those who read it: field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prefect_collect.errors import UsageError
from prefect_collect.formats.bag_options import BagOptions
from prefect_collect.formats.bag_profile import read_profile
from prefect_collect.formats.registry import OPTION_GROUPS


def asked_fields(options: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield what a job's options ask for: name, field and value; the field is "" for an option without fields.

    A BagIt profile, which may be long, is named by its identifier.
    """
    for name, value in options.items():
        if name not in OPTION_GROUPS or not isinstance(value, Mapping):
            yield name, "", value
            continue
        for field, of_field in value.items():
            is_profile = name == BagOptions.parameter and field == "profile"
            yield name, str(field), _identifier(of_field) if is_profile else of_field


def _identifier(profile: Any) -> Any:
    """Return the identifier of a BagIt profile; anything else is returned as it is."""
    try:
        return read_profile(profile).identifier
    except UsageError:
        return profile
