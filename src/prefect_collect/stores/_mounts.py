"""Where a path lies on its file system, by whatever mounts and links it is reached.

psutil lists mounts without the folder of the file system that each shows, by which two mounts of one are known.
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
    """One line of proc(5)'s mountinfo: a folder `root` of the file system `device`, to be seen at `point`."""

    point: bytes
    device: bytes
    root: bytes


def mounts() -> list[Mount]:
    """What is mounted, in the order in which it was; one that covers all where no table of it can be read."""
    try:
        with open(_TABLE, "rb") as table:
            lines = table.read().splitlines()
    except OSError:
        lines = []
    found = [Mount(_plain(words[4]), words[2], _plain(words[3])) for words in map(bytes.split, lines) if len(words) > 4]
    return found or [Mount(b"/", b"", b"/")]


def place_of(path: bytes, table: list[Mount]) -> tuple[bytes, bytes]:
    """The file system, and the path in it, of a resolved path."""
    around = [mount for mount in table if is_below(path, mount.point)]
    if not around:
        return b"", path
    longest = max(len(mount.point) for mount in around)
    mount = [each for each in around if len(each.point) == longest][-1]
    return mount.device, os.path.normpath(mount.root + b"/" + path[len(mount.point.rstrip(b"/")) :])


def is_below(path: bytes, folder: bytes) -> bool:
    """Whether a resolved path is the folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def _plain(field: bytes) -> bytes:
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field)
