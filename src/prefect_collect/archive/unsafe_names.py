"""Names that no package may have, because they lead out of it or mean another place than they show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_SUSPECT: Final = re.compile(r"\\|\0|\A/|//|\A\Z|\A.:|(?:\A|/)\.\.?(?:/|\Z)", re.DOTALL)
"""Matches a part of every unsafe name; most names do not match, and need no further check."""

_SIGNS: Final = (b"\n\n", b"\n.", b"\n/", b"/.", b"//", b"\\", b"\0", b":")
"""What names that are joined to lines contain, if one of them is suspect."""


def may_be_unsafe(names: Sequence[bytes]) -> bool:
    """Return whether any of these names, as the index stores them, may be unsafe or has a backslash."""
    lines = b"\n".join((b"", *names, b""))
    return any(sign in lines for sign in _SIGNS)


def unsafe(name: str) -> str | None:
    """Return why a name must not be in any package; None if it may."""
    if not _SUSPECT.search(name):
        return None
    parts = name.removesuffix("/").replace("\\", "/").split("/")
    drive = len(name) > 1 and name[1] == ":" and name[0].isalpha()
    if drive or "\0" in name or ".." in parts or name.startswith(("/", "\\")):
        return "its name could lead outside of the place it is unpacked to"
    if any(part in ("", ".") for part in name.removesuffix("/").split("/")):
        return 'its name has parts that are empty or ".", so that it means another place than it shows'
    return None
