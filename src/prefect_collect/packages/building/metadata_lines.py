"""metadata.jsonl: what the source states of the items beside their bytes, in a package of any format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from prefect_collect.errors import PackageError

METADATA: Final = "metadata.jsonl"
"""The file of what the source states of the items beside their bytes; there is none if it states nothing.

A line is a JSON object: ``path`` (as in items.parquet), ``item_id`` and ``metadata``, as in the manifest.
"""


class MetadataLines:
    """Writes the file into `folder`, if there is anything to write."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / METADATA
        self._file: IO[str] | None = None

    @property
    def names(self) -> list[str]:
        """The file's name, if there is one."""
        return [] if self._file is None else [METADATA]

    def add(self, paths: Sequence[str | None], ids: Sequence[str], metadata: Sequence[str | None]) -> None:
        """Add items with their paths in the package (None if they are not delivered) and what the manifest has of them.

        Raise PackageError if that is no JSON.
        """
        for path, id_, text in zip(paths, ids, metadata, strict=True):
            if text is None:
                continue
            try:
                line = {"path": path, "item_id": id_, "metadata": json.loads(text)}
            except (ValueError, RecursionError) as error:
                raise PackageError(f"The manifest has metadata of an item that is no JSON. [{id_}]") from error
            if self._file is None:
                self._file = open(self._path, "w", encoding="utf-8", newline="\n")  # noqa: SIM115
            self._file.write(f"{json.dumps(line, ensure_ascii=False)}\n")

    def close(self) -> None:
        """Close the file; it is not removed."""
        if self._file is not None:
            self._file.close()
