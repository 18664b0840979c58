"""Find the existing path that is most like a mistyped one, for the message that it does not exist."""

from __future__ import annotations

import os
from difflib import get_close_matches
from itertools import islice
from typing import Final

_MOST_NAMES: Final = 10_000
"""The most names of a folder that are compared."""


def nearest_path(path: str) -> str:
    """Return a sentence that names what exists nearest to a missing path; "" if only the folder that it would be in."""
    missing = os.path.abspath(os.path.expanduser(path))
    folder, name = os.path.split(missing)
    is_parent = True
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder, name = os.path.split(folder)
        is_parent = False
    alike = _alike(folder, name)
    nearest = "" if is_parent else f"The nearest folder that exists is {folder}. "
    return f"{nearest}Did you mean {os.path.join(folder, alike)}?" if alike else nearest.rstrip()


def _alike(folder: str, name: str) -> str:
    """Return the name in the folder that is most like this one; "" if none is much like it."""
    try:
        with os.scandir(folder) as entries:
            names = {entry.name.lower(): entry.name for entry in islice(entries, _MOST_NAMES)}
    except OSError:
        return ""
    found = get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    return names[found[0]] if found else ""
