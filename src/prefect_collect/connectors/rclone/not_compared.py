"""What a service does not state of its files, or states wrongly, so that it is not compared; and how the job says so.

SharePoint changes Office files: their sizes and hashes are not those of the bytes that it sends. rclone's own pages say
to compare neither (``--ignore-size --ignore-checksum``; https://rclone.org/onedrive/, https://rclone.org/webdav/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prefect_collect.connectors.rclone.entries import Entry

_OFFICE: Final = frozenset((
    "doc", "docb", "docm", "docx", "dot", "dotm", "dotx", "pot", "potm", "potx", "ppa", "ppam", "pps", "ppsm", "ppsx",
    "ppt", "pptm", "pptx", "vsd", "vsdm", "vsdx", "xla", "xlam", "xls", "xlsb", "xlsm", "xlsx", "xlt", "xltm", "xltx",
))  # fmt: skip
"""The endings of Office files."""

_DRIVES: Final = frozenset({"business", "documentLibrary"})
"""The kinds of drives of rclone's type `onedrive` that are SharePoint's: OneDrive for Business is a site of it too."""

_VENDORS: Final = frozenset({"sharepoint", "sharepoint-ntlm"})
"""The vendors of rclone's type `webdav` that are SharePoint."""


def is_sharepoint(settings: Mapping[str, Any]) -> bool:
    """Return whether a remote with these settings (``config/get``) is SharePoint or OneDrive for Business."""
    kind = settings.get("type")
    return (kind == "onedrive" and settings.get("drive_type") in _DRIVES) or (
        kind == "webdav" and settings.get("vendor") in _VENDORS
    )


def is_office_file(name: str) -> bool:
    """Return whether a name or path has the ending of an Office file."""
    _, dot, ending = name.rpartition(".")
    return bool(dot) and ending.lower() in _OFFICE


@dataclass
class NotCompared:
    """How many files of a listing are not compared with all that other files are compared with.

    Attributes:
        kind: The type of the remote.
        hashes: The hashes that the service keeps and that are compared.
        has_times: Whether times are compared.
        files: All files.
        unsized: The files without a size.
        unhashed: The files without a hash, of those with a size.
        rewritten: The files that the service changes when it sends them.
    """

    kind: str
    hashes: Sequence[str]
    has_times: bool
    files: int = 0
    unsized: int = 0
    unhashed: int = 0
    rewritten: int = 0

    def count(self, entry: Entry, *, is_rewritten: bool) -> None:
        """Count a file."""
        self.files += 1
        if is_rewritten:
            self.rewritten += 1
        elif entry.size is None:
            self.unsized += 1
        elif entry.hash is None:
            self.unhashed += 1

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for the job's result for each thing that was not compared."""
        said = []
        time = ", but the time of their last change was" if self.has_times else ""
        if self.rewritten:
            said.append(
                "SharePoint changes Office files, so that what it lists of them is not what it sends: the size and "
                f"hash of {_files(self.rewritten)} were not compared{time}."
            )
        if self.unsized:
            said.append(
                f"The service ({self.kind}) states no size of {_files(self.unsized)}, as Google does of its documents: "
                "their length was not compared."
            )
        if self.unhashed and not self.hashes:
            also = "size and time" if self.has_times else "size"
            said.append(
                f"The service ({self.kind}) states no SHA-256, SHA-1 or MD5 of its files: their bytes were not "
                f"compared with a hash, only their {also} with the list."
            )
        elif self.unhashed:
            said.append(
                f"The service ({self.kind}) states no {self.hashes[0].upper()} of {_files(self.unhashed)}: their bytes "
                "were not compared with a hash."
            )
        return tuple(said)


def _files(number: int) -> str:
    return f"{number:,} {'file' if number == 1 else 'files'}"
