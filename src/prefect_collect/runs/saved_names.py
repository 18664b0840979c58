"""Whether a name may be that of a block saved in Prefect, as far as that is known without a server.

To start a server takes long, and a mistyped path is a name like any other. Where no server is configured, one that is
started has the blocks of the database in Prefect's home. Whether that has a block of the name is looked up there; where
the answer is not certain, the server has to be asked.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Final
from urllib.parse import quote

from prefect_collect.runs import prefect_settings

_NAME: Final = re.compile(r"[a-z0-9-]+")
"""The names that Prefect gives blocks and their types."""


def may_be_saved(name: str) -> bool:
    """Return whether a block may be saved as ``name`` or ``type/name``; False only if that is certain."""
    type_, _, document = name.rpartition("/")
    if any(_NAME.fullmatch(part) is None for part in (*filter(None, [type_]), document)):
        return False
    settings = prefect_settings.known_without_prefect()
    if settings is None or settings.server is not None:
        return True
    database = settings.home / "prefect.db"
    if not database.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True, timeout=1)) as opened:
            found = opened.execute("SELECT 1 FROM block_document WHERE name = ? LIMIT 1", [document]).fetchone()
    except sqlite3.Error:  # it is in use, or another version's
        return True
    return found is not None
