"""Things of one kind, for a source in memory."""

from __future__ import annotations

from tests.support.memory_source import Kind, Thing


def some(kind: Kind, count: int, start: int = 0) -> dict[str, Thing]:
    """Return things of one kind."""
    return {
        f"{kind}/{n:03d}": Thing(kind, f"content {n}".encode() * (kind != "empty")) for n in range(start, start + count)
    }
