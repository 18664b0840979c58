"""Names that Windows and macOS accept as well as Linux: what makes a name unusable there, and what replaces it.

Source: Microsoft, "Naming Files, Paths, and Namespaces"
(https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file), for Win32 with its usual rules: reserved
characters and device names, no space or period at the end, `MAX_PATH` of 260 UTF-16 units, and names that are equal
whatever their case. macOS (APFS) ignores both case and Unicode normalization forms.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from prefect_collect.archive.item_paths import DEVICE, MAX_PART, marked_path

MAX_UNITS: Final = 260 - len("C:\\") - 1
"""The most UTF-16 units of a path below a drive's root: `MAX_PATH` (260) without the drive and the final NUL."""

_BAD: Final = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
PLAIN: Final = r"\A(?:[ !#-)+-.0-9;=@-Z\[\]^_`a-z{}~]*[!#-)+,0-9;=@-Z\[\]^_`a-z{}~-](?:/|\z))+\z"
"""Matches ASCII paths whose parts are certainly portable if short enough; a regular expression of RE2."""

DEVICES: Final = r"(?i)(?:\A|/)(?:CON|PRN|AUX|NUL|COM|LPT)"
"""Matches paths that may hold a device's name; a regular expression of RE2."""


def units(text: str) -> int:
    """Return the number of UTF-16 units of the text, by which Windows counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def same_name(part: str) -> str:
    """Return the common form of names that Windows or macOS treat as equal: case folded, decomposed (Unicode D145).

    Unicode folds a little more than the file systems do ("ß" is "ss"), so that names are renamed too often rather than
    too rarely.
    """
    if part.isascii():
        return part.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", part).casefold())


def portable_part(part: str, whole: str) -> str:
    """Return the part of a path if every system accepts it, else a replacement, marked by the `whole` path to it.

    The mark is that of `item_paths.marked_path`, so that no two paths get the same part.
    """
    fine = _made_fine(part)
    return part if fine == part else marked_path(fine, whole)


def whats_wrong(part: str) -> list[str]:
    """Return why a part of a path is not portable, in words; empty if it is."""
    found = []
    if _BAD.search(part):
        found.append("a character that Windows does not take")
    if part.endswith((".", " ")):
        found.append("a dot or space at the end")
    if DEVICE.match(part):
        found.append("a name of a device of Windows")
    if units(part) > MAX_PART:
        found.append(f"more than {MAX_PART} characters")
    return found


def _made_fine(part: str) -> str:
    fine = _BAD.sub("_", part).rstrip(". ") or "_"
    if DEVICE.match(fine):
        fine = f"_{fine}"
    return fine if units(fine) <= MAX_PART else fine[:MAX_PART]
