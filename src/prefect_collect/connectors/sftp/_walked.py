"""What a listing over SFTP has under way: folders that are read, and entries about which the server is asked more."""

from __future__ import annotations

from dataclasses import dataclass, field

from prefect_collect.connectors.sftp._packets import Attributes
from prefect_collect.connectors.sftp._place import Root
from prefect_collect.errors import SourceError


@dataclass(eq=False, slots=True)
class Folder:
    """A folder that is to be read or is being read.

    Attributes:
        path: Its path below the root, which ends in "/"; "" for the root.
        real: Its real path at the server, if links are followed.
        above: The folder that it was found in.
        handle: The server's handle while it is open.
        under_way: READDIR requests without an answer.
        seen: The names that came: after a lost connection the folder is read again, and they come again.
        batches: How many answers had names.
        is_ended: Whether the server said that there are no more names, or the folder was given up.
    """

    path: bytes
    real: bytes = b""
    above: Folder | None = None
    handle: bytes | None = None
    under_way: int = 0
    seen: set[bytes] = field(default_factory=set)
    batches: int = 0
    is_ended: bool = False

    def real_of(self, name: bytes) -> bytes:
        """Return the real path of an entry that is no link."""
        return self.real.rstrip(b"/") + b"/" + name

    def leads_back(self, real: bytes) -> bool:
        """Return whether the folder, or one that it lies in, is at that real path."""
        at: Folder | None = self
        while at is not None:
            if at.real == real:
                return True
            at = at.above
        return False


def top_of(root: Root) -> Folder:
    """Return the root as a folder that is to be read."""
    return Folder(b"", root.path.rstrip(b"/") or b"/")


@dataclass(eq=False, slots=True)
class Look:
    """An entry about which the server is asked more: by LSTAT, or, for a link that is followed, STAT and REALPATH."""

    folder: Folder
    path: bytes
    long: bytes
    is_link: bool
    under_way: int = 0
    attributes: Attributes | None = None
    real: bytes | None = None
    error: SourceError | None = None


@dataclass(slots=True)
class Untimed:
    """Counts the files whose time does not fit into the protocol, and says so in the job's result."""

    files: int = 0
    first: str = ""

    def add(self, place: str) -> None:
        """Count the file at that place."""
        self.files += 1
        self.first = self.first or place

    def warnings(self) -> tuple[str, ...]:
        """Return the sentence about them, if there are any."""
        if not self.files:
            return ()
        files = "1 file is" if self.files == 1 else f"{self.files:,} files are"
        what = "as SFTP has only times from 1970 to 2106, and the server does not confirm what it sent for another one"
        return (f"{files} collected without a time, {what}. [{self.first}]",)
