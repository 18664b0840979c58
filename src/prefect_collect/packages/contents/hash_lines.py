"""The lines of hash lists, as ``sha256sum`` of GNU coreutils writes and reads them: digest, two spaces, path.

A path with a line break or a backslash is escaped, which a backslash before the digest tells ("cksum output modes" in
the coreutils manual: https://www.gnu.org/software/coreutils/manual/html_node/md5sum-invocation.html).
"""

from __future__ import annotations

import re
from typing import Final

_LINE: Final = re.compile(r"\\?([0-9a-f]{64})  ([^\r\n]+)")
_SPECIAL: Final = re.compile(r"[\\\n\r]")
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})
_ESCAPED: Final = re.compile(r"\\([\\nr])")
_MEANT: Final = {"\\": "\\", "n": "\n", "r": "\r"}


def hash_line(digest: str, path: str) -> str:
    """Return the line of a file, by its SHA-256 (hex) and its path."""
    if _SPECIAL.search(path) is None:
        return f"{digest}  {path}\n"
    return f"\\{digest}  {path.translate(_ESCAPES)}\n"


def parsed_hash_line(line: str) -> tuple[str, bytes] | None:
    """Return path and SHA-256 of a line without its end; None if it is no such line."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    path = found[2] if line[0] != "\\" else _ESCAPED.sub(lambda escape: _MEANT[escape[1]], found[2])
    return (path, bytes.fromhex(found[1])) if hash_line(found[1], path) == f"{line}\n" else None
