"""The paths of items: where an item may be put in a segment, a package and a folder."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

MAX_PART: Final = 255
"""The most UTF-8 bytes of one part of a path (NAME_MAX of Linux's file systems)."""

MAX_PATH: Final = 60_000
"""The most UTF-8 bytes of a whole path: a ZIP name may have 65,535, and the package's folders come before it."""

DEVICE: Final = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[1-9¹²³]) *(?:\.|\Z)", re.IGNORECASE)
"""Matches the start of a name that is a device in Windows, in any folder and with any extension."""

_PLAIN: Final = re.compile(r"(?![A-Za-z]:)(?:(?!\.\.?(?:/|\Z))[\x01-.0-\[\]-}\x7f]{1,255}+(?:/(?!\Z)|\Z))++\Z")
"""Matches ASCII paths that need no further check: good parts, and no "~", which every altered name has."""

UNUSUAL: Final = r"[\x00\\~]|[^\x00-\x7F]|(?:\A|/)\.{0,2}(?:/|\z)|\A[A-Za-z]:"
"""Matches what `safe_path` must check or change in a path of at most MAX_PART bytes; an expression of RE2."""

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_BAD: Final = re.compile("[\0\\\\\ud800-\udfff]")
_EXTENSION: Final = re.compile(r"(?<=.)\.[A-Za-z0-9_-]{1,16}\Z", re.DOTALL)
_ALTERED: Final = re.compile(r"~[0-9a-f]{16}(?:\.[A-Za-z0-9_-]{1,16})?\Z")
_NOT_IN_NAME: Final = re.compile(r"[^\w.-]+")
_MARK: Final = 17


def safe_path(original: str, item_id: str) -> str:
    """Return the path an item is staged and packaged under: relative, with good parts, and unique to the item.

    A good path stays as it is. A path that is not (absolute, a drive, ``.``, ``..`` or empty parts, NUL, backslash,
    bytes that are not UTF-8, parts over 255 or a whole over 60,000 bytes), or that looks as if it had been altered, is
    changed and marked as by `marked_path`, so that it can equal neither an unchanged path nor another changed one.
    """
    if _PLAIN.match(original) and len(original) <= MAX_PATH:
        return original
    if _is_safe(original) and not _ALTERED.search(original):
        return original
    parts = [_BAD.sub("_", part) for part in original.split("/") if part not in ("", ".", "..")]
    if parts and _DRIVE.match(parts[0]):
        parts[0] = parts[0].replace(":", "_", 1)
    parts = parts or ["unnamed"]
    last = _marked(parts[-1], item_id)
    folders = _cut_total([_cut(part, MAX_PART) for part in parts[:-1]], MAX_PATH - len(last.encode()))
    return "/".join([*folders, last])


def is_path_of(path: str, original: str, item_id: str) -> bool:
    """Return whether `path` is the safe path of an item, as far as a job's files keep its original path.

    They keep bytes that are not UTF-8 escaped, so that of a path with a backslash only the mark can be compared.
    """
    if path == original and _PLAIN.match(path) and len(path) <= MAX_PATH:
        return True
    if path == safe_path(original, item_id):
        return True
    return "\\" in original and _is_safe(path) and path.rpartition("/")[2] == _marked(_unmarked(path), item_id)


def marked_path(path: str, item_id: str, size: int = MAX_PART) -> str:
    """Return a safe path with ``~`` and the first 16 hex digits of SHA-256(item_id) before its extension.

    The last part is cut to `size` bytes of UTF-8, which must be 34 or more.
    """
    folder, slash, last = path.rpartition("/")
    return f"{folder}{slash}{_marked(last, item_id, size)}"


def name_to_folder(name: str) -> str:
    """Return a folder's name, made of a job's name, that every system accepts.

    It has letters, digits, dots, dashes and underscores, and at most 100 bytes of UTF-8.
    """
    folder = _NOT_IN_NAME.sub("-", unicodedata.normalize("NFC", name)).lstrip("-.")
    folder = f"_{folder}" if DEVICE.match(folder) else folder
    return _cut(folder, 100).rstrip("-.") or "collection"


def _is_safe(path: str) -> bool:
    if _BAD.search(path) or _DRIVE.match(path) or len(path.encode()) > MAX_PATH:
        return False
    return all(part not in ("", ".", "..") and len(part.encode()) <= MAX_PART for part in path.split("/"))


def _marked(last: str, item_id: str, size: int = MAX_PART) -> str:
    found = _EXTENSION.search(last)
    extension = found[0] if found else ""
    mark = hashlib.sha256(item_id.encode("utf-8", "surrogatepass")).hexdigest()[: _MARK - 1]
    stem = _cut(last.removesuffix(extension), size - _MARK - len(extension))
    return f"{stem}~{mark}{extension}"


def _unmarked(path: str) -> str:
    """Return the last part of an altered path without its mark."""
    last = path.rpartition("/")[2]
    found = _ALTERED.search(last)
    return last if found is None else last[: found.start()] + last[found.start() + _MARK :]


def _cut(text: str, size: int) -> str:
    """Return the longest start of `text` that has at most `size` UTF-8 bytes."""
    data = text.encode()
    return text if len(data) <= size else data[:size].decode("utf-8", "ignore")


def _cut_total(folders: list[str], size: int) -> list[str]:
    """Return the first folders that, each with its slash, have at most `size` bytes."""
    for index, folder in enumerate(folders):
        size -= len(folder.encode()) + 1
        if size < 0:
            return folders[:index]
    return folders
