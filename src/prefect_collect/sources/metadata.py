"""What a source states of an item beside its bytes, in the form in which the manifest keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

LONGEST_METADATA: Final = 1 << 16
"""The most bytes of JSON in UTF-8 that an item's metadata may have."""

CREATED: Final = "created"
"""The name of an item's creation time in its metadata: text by ISO 8601, with a zone."""

MODIFIED: Final = "modified"
"""The name of the time of an item's last change in its metadata, if only opening it states that, in the same form."""

_EXPECTED: Final = f"a dictionary by text that JSON can hold, in at most {LONGEST_METADATA:,} bytes,"


def metadata_text(metadata: object) -> str:
    """Return an item's metadata as JSON. Raise ValueError, which says what metadata may be, if it cannot be that."""
    if not isinstance(metadata, Mapping) or not all(isinstance(name, str) for name in metadata):
        raise ValueError(_EXPECTED)
    try:
        text = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
        is_short = len(text.encode()) <= LONGEST_METADATA
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(_EXPECTED) from error
    if not is_short:
        raise ValueError(_EXPECTED)
    return text


def with_times(metadata: Mapping[str, Any] | None, times: Mapping[str, datetime]) -> str:
    """Return an item's metadata as JSON, with times (with a zone) in UTC under names that it does not have.

    The times are left out if there is no room for them. Raise ValueError as `metadata_text` does.
    """
    texts = {name: at.astimezone(UTC).isoformat() for name, at in times.items()}
    try:
        return metadata_text({**texts, **(metadata or {})})
    except ValueError:
        return metadata_text(metadata)
