"""The place of a path on its file system, the same through whatever mount or link it is reached.

psutil is not used: it lists mounts without the folder of the file system that each one shows, which is needed to see
that two mounts show the same folder.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

_TABLE: Final = "/proc/self/mountinfo"
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of proc(5)'s mountinfo: the folder `root` of the file system `device`, mounted at `point`."""

    point: bytes
    device: bytes
    root: bytes


def mounts() -> list[Mount]:
    """Return the mounts in the order in which they were made; a single one for "/" if the table cannot be read."""
    try:
        with open(_TABLE, "rb") as table:
            lines = table.read().splitlines()
    except OSError:
        lines = []
    found = [Mount(_plain(words[4]), words[2], _plain(words[3])) for words in map(bytes.split, lines) if len(words) > 4]
    return found or [Mount(b"/", b"", b"/")]


def place_of(path: bytes, table: list[Mount]) -> tuple[bytes, bytes]:
    """Return the file system of a resolved path, and the path within it."""
    around = [mount for mount in table if is_below(path, mount.point)]
    if not around:
        return b"", path
    longest = max(len(mount.point) for mount in around)
    mount = [each for each in around if len(each.point) == longest][-1]
    return mount.device, os.path.normpath(mount.root + b"/" + path[len(mount.point.rstrip(b"/")) :])


def is_below(path: bytes, folder: bytes) -> bool:
    """Return whether a resolved path is the folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def _plain(field: bytes) -> bytes:
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field)
