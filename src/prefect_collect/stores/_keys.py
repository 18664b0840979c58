"""The keys of a store: relative, "/"-separated, and never outside its root."""

from __future__ import annotations

from prefect_collect.errors import StoreError

TEMPORARY = ".tmp"
"""The folder in a directory store's root that holds unfinished files, on file systems without unnamed files."""


def key_parts(key: str) -> list[str]:
    """Return the folders and the name of a key. Raise StoreError if it could leave the root or cannot be a path."""
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise StoreError(
            f"Not a key of a store: it must be relative, without empty parts, '.', '..' and NUL [key={key!r}]"
        )
    if parts[0] == TEMPORARY:
        raise StoreError(f"The folder {TEMPORARY} of a store is for unfinished files only; use another key [key={key}]")
    return parts


def prefix_parts(prefix: str) -> tuple[list[str], str]:
    """Return a prefix as its whole folders and the start of a name: ``a/b/c`` gives ``(["a", "b"], "c")``."""
    folder, slash, start = prefix.rpartition("/")
    if start in (".", "..") or "\0" in start:
        raise StoreError(f"Not a prefix of keys [prefix={prefix!r}]")
    return (key_parts(folder) if slash else []), start


def folder_parts(prefix: str) -> list[str]:
    """Return the parts of a folder below the root. Raise StoreError for the root itself, which must not be deleted."""
    if not prefix.endswith("/"):
        raise StoreError(
            f"A folder to delete must end in '/' and must not be the root of the store [prefix={prefix!r}]"
        )
    return key_parts(prefix[:-1])
