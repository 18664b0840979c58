"""Which keys a store takes: relative, "/"-separated, and unable to leave the root."""

from __future__ import annotations

from prefect_collect.errors import StoreError

TEMPORARY = ".tmp"
"""The folder under a directory store's root where unfinished files lie on file systems without unnamed files."""


def key_parts(key: str) -> list[str]:
    """The folders and the name of a key; raises StoreError if it could leave the root or cannot be a path."""
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise StoreError(
            f"Not a key of a store: it must be relative, without empty parts, '.', '..' and NUL [key={key!r}]"
        )
    if parts[0] == TEMPORARY:
        raise StoreError(f"The folder {TEMPORARY} of a store is kept for unfinished files; use another key [key={key}]")
    return parts


def prefix_parts(prefix: str) -> tuple[list[str], str]:
    """A prefix as its whole folders and the start of a name: ``a/b/c`` is ``(["a", "b"], "c")``."""
    folder, slash, start = prefix.rpartition("/")
    if start in (".", "..") or "\0" in start:
        raise StoreError(f"Not a prefix of keys [prefix={prefix!r}]")
    return (key_parts(folder) if slash else []), start


def folder_parts(prefix: str) -> list[str]:
    """The parts of a whole folder below the root; raises StoreError for the root itself, which must not be deleted."""
    if not prefix.endswith("/"):
        raise StoreError(
            f"A folder to delete must end in '/' and must not be the root of the store [prefix={prefix!r}]"
        )
    return key_parts(prefix[:-1])
