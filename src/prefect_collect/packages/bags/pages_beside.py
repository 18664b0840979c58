"""Makes the pages of a package's chain of custody documents in a fork, while the files of the package are checked.

To import what makes a PDF takes longer than to hash 100 MiB.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from prefect_collect.archive.problems import Damaged
from prefect_collect.documents.account import MOST_BYTES, read_account
from prefect_collect.formats.registry import CUSTODY_DOCUMENTS
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.threads.fork_beside import ForkBeside

_ACCOUNT, *_PAGES = CUSTODY_DOCUMENTS


@dataclass(frozen=True, slots=True)
class MadePages:
    """The pages that this version makes of an account, by name; those that are missing were not made."""

    account: bytes = b""
    pages: dict[str, bytes] = field(default_factory=dict)

    def of(self, account: bytes, name: str) -> bytes | None:
        """Return a page if it was made of this account."""
        return self.pages.get(name) if account == self.account else None


class PagesBeside:
    """The fork that makes the pages of a package, if they lie here and `threads` allow it. Leave its `with` block."""

    def __init__(self, files: BagFiles, threads: int) -> None:
        self._account = b""
        if threads > 1 and files.container.in_forks:
            with suppress(Damaged):  # reported when it is hashed
                self._account = files.start(_ACCOUNT, MOST_BYTES + 1)
        self._fork = ForkBeside(partial(_made, self._account) if self._account else None)

    def __enter__(self) -> PagesBeside:
        return self

    def __exit__(self, *_: object) -> None:
        self._fork.__exit__()

    def made(self) -> MadePages:
        """Wait for the pages, and return them."""
        return MadePages(self._account, self._fork.result() or {})


def _made(account: bytes) -> dict[str, bytes]:
    from prefect_collect.documents.files import document_files

    made = document_files(read_account(account))
    return {name: made[name] for name in _PAGES}
