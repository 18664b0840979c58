"""Where the tables of a dataset go: a folder for each table, and its schema beside."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from prefect_collect.formats.dataset import Dataset

TABLES: Final = "TABLES"
SCHEMAS: Final = "SCHEMAS"

_LONGEST: Final = 200
_ESCAPED: Final = re.compile(r"[\x00-\x1f\x7f\"#%'*/:=?\\{}\[\]^<>|\ud800-\udfff]|^[ .]|[ .]$")
"""What Hive escapes in the name of a partition, and what Windows does not take:
https://github.com/apache/hive/blob/master/common/src/java/org/apache/hadoop/hive/common/FileUtils.java"""


@dataclass(slots=True)
class TablePlaces:
    """The folders of tables, in the order in which they are asked for: each has a name of its own on every system."""

    options: Dataset
    _folders: dict[tuple[str, ...], str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def folder(self, table: tuple[str, ...]) -> str:
        """Return the name of a table's folder."""
        if table not in self._folders:
            name = shown = escaped(".".join(table))
            if len(name.encode()) > _LONGEST or name.casefold() in self._taken:
                mark = hashlib.sha256("\0".join(table).encode("utf-8", "surrogatepass")).hexdigest()[:16]
                shown = f"{name.encode()[: _LONGEST - 20].decode('utf-8', 'ignore')}~{mark}"
            self._taken.add(shown.casefold())
            self._folders[table] = shown
        return self._folders[table]

    def schema(self, table: tuple[str, ...]) -> str:
        """Return the path of a table's schema."""
        return f"{SCHEMAS}/{self.folder(table)}.sql"

    def slice(self, table: tuple[str, ...], path: str) -> str:
        """Return the path of a table's slice that was staged under `path`."""
        stem = path.rpartition("/")[2].removesuffix(".parquet")
        kind = self.options.rows
        if self.options.hive:
            return f"{TABLES}/table={self.folder(table)}/part-{stem}.{kind}"
        return f"{TABLES}/{self.folder(table)}/{stem}.{kind}"


def escaped(name: str) -> str:
    """Return a name with %XX for each byte of a character that Hive escapes, or a system does not take."""
    return _ESCAPED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace")), name)
