"""The demonstration."""

from __future__ import annotations

from pathlib import Path


def run_demo(folder: Path, tree: Path | None, *, json: bool) -> int:
    """Run ``demo``."""
    raise NotImplementedError
