"""Where messages go: an mbox file for each folder of the source, or an EML file for each message."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from prefect_collect.formats.mail_set import MailSet

FOLDER: Final = "MAIL"
"""The folder of the package that messages are in."""

_ALL: Final = "messages"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SUFFIX: Final = re.compile(r"(?:\.mbox|\.eml)+\Z", re.IGNORECASE)


def folder_of(path: str) -> str:
    """Return the folder of an item, without the ending .mbox or .eml of any of its parts: only files end so."""
    parts = _CONTROL.sub("_", path).split("/")[:-1]
    return "/".join(_SUFFIX.sub("", part) or "_" for part in parts)


def eml_path(number: int, path: str) -> str:
    """Return the path of the EML file of a row, which was staged under `path`."""
    folder = folder_of(path)
    return f"{FOLDER}/{folder}{'/' if folder else ''}{number + 1:08d}.eml"


@dataclass(slots=True)
class MboxNames:
    """The names of mbox files; names that differ only in case are one name, as on some systems."""

    options: MailSet
    _taken: dict[str, str] = field(default_factory=dict)

    def group(self, path: str) -> str:
        """Return the group of an item that was staged under `path`: each has mbox files of its own."""
        return ("" if self.options.mbox_of == "all" else folder_of(path)).casefold()

    def name(self, path: str, volume: int) -> str:
        """Return the name of an mbox file, by one of its items and its number from 0 in the group."""
        folder = "" if self.options.mbox_of == "all" else folder_of(path)
        stem, key = folder or _ALL, f"{self.group(path)}/{volume}"
        while True:
            name = f"{FOLDER}/{stem}{f'.{volume + 1:03d}' if volume else ''}.mbox"
            if self._taken.setdefault(name.casefold(), key) == key:
                return name
            stem += "_"
