"""The inventory of an OCFL object (OCFL 1.1, section 3.5): read within bounds, checked by its rules, and continued."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from prefect_collect.untrusted.bounded_json import (
    BadValue,
    fields,
    list_of,
    moment,
    parse_json,
    table_of,
    text,
)

MOST_BYTES: Final = 256 << 20
"""The most bytes of an inventory."""

_MOST_VALUES: Final = 8_000_000
_TYPE: Final = "https://ocfl.io/1.1/spec/#inventory"
_HEX: Final = {"sha256": re.compile("[0-9a-f]{64}"), "sha512": re.compile("[0-9a-f]{128}")}
_PATHS: Final = table_of(list_of(text(4096)))
_VERSION: Final = fields(
    {"created": moment, "state": _PATHS},
    {
        "message": text(),
        "user": fields({"name": text(4096)}, {"address": text(4096)}),
    },
)
_INVENTORY: Final = fields(
    {
        "id": text(4096, r"(?s).+"),
        "type": text(100),
        "digestAlgorithm": text(20),
        "head": text(8, r"v[1-9][0-9]{0,6}"),
        "manifest": _PATHS,
        "versions": table_of(_VERSION),
    },
    {"contentDirectory": text(255), "fixity": table_of(_PATHS)},
)

Paths = Mapping[str, list[str]]
"""Paths by the hash (hex) of the bytes that they have."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The inventory of an object.

    Attributes:
        id: The object's id.
        algorithm: The hashes' algorithm: ``sha256`` or ``sha512``.
        head: The number of the last version.
        content: The folder of each version that content is in.
        manifest: The content paths, by hash, as all versions share them.
        versions: What is said of each version, by its number.
        fixity: Content paths by further hashes of their bytes, by the name of the algorithm.
    """

    id: str
    algorithm: str
    head: int
    content: str
    manifest: Paths
    versions: Mapping[int, Mapping[str, Any]]
    fixity: Mapping[str, Paths] = field(default_factory=dict)

    @property
    def sidecar(self) -> str:
        """The name of the file with the inventory's hash."""
        return f"inventory.json.{self.algorithm}"

    def state(self, number: int) -> dict[str, str]:
        """Return the logical paths of a version, with the hash of each."""
        return flattened(self.versions[number]["state"])

    def to_bytes(self) -> bytes:
        """Return the inventory as it is written; the same for the same values."""
        values = {
            "digestAlgorithm": self.algorithm,
            "head": f"v{self.head}",
            "id": self.id,
            "manifest": self.manifest,
            "type": _TYPE,
            "versions": {f"v{number}": said for number, said in self.versions.items()},
        } | ({} if self.content == "content" else {"contentDirectory": self.content})
        values |= {"fixity": self.fixity} if self.fixity else {}
        return (json.dumps(values, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def next_version(
    before: Inventory | None, id: str, manifest: Paths, state: Mapping[str, str], said: Mapping[str, Any],
    fixity: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Inventory:  # fmt: skip
    """Return the inventory with one more version.

    Args:
        before: The inventory that is continued; None for the first version.
        id: The object's id.
        manifest: The paths of the new content.
        state: The logical paths of the version, with the hash of each.
        said: What is said of the version beside its state.
        fixity: The further hashes of content paths that are known, by the name of the algorithm and the path.
    """
    number = 1 if before is None else before.head + 1
    return Inventory(
        id,
        "sha256",
        number,
        "content",
        {**({} if before is None else before.manifest), **manifest},
        {**({} if before is None else before.versions), number: {**said, "state": _by_hash(state)}},
        _joined({} if before is None else before.fixity, fixity),
    )


def _joined(before: Mapping[str, Paths], more: Mapping[str, Mapping[str, str]]) -> dict[str, Paths]:
    """Return the hashes of an earlier inventory with those of more paths."""
    made: dict[str, Paths] = dict(before)
    for name, digests in more.items():
        if paths := _by_hash({**digests, **flattened(before.get(name, {}))}):
            made[name] = paths
    return made


def _by_hash(digests: Mapping[str, str]) -> dict[str, list[str]]:
    paths: dict[str, list[str]] = {}
    for path, digest in sorted(digests.items()):
        paths.setdefault(digest, []).append(path)
    return paths


def parsed_inventory(data: bytes) -> Inventory:
    """Return the inventory in the bytes, if it follows the rules. Raise BadValue."""
    values = parse_json(data, _INVENTORY, MOST_BYTES, _MOST_VALUES)
    if values["type"] != _TYPE:
        raise BadValue(f"it is not of OCFL 1.1 but of the type {values['type']}")
    algorithm, content = values["digestAlgorithm"], values.get("contentDirectory", "content")
    if algorithm not in _HEX:
        raise BadValue(f"its digestAlgorithm is {algorithm}, not sha256 or sha512")
    if "/" in content or content in ("", ".", ".."):
        raise BadValue("its contentDirectory is not the name of a folder")
    head = int(values["head"][1:])
    if len(values["versions"]) != head or any(f"v{number}" not in values["versions"] for number in range(1, head + 1)):
        raise BadValue(f"its versions are not v1 to {values['head']}")
    manifest = _normalised(values["manifest"], algorithm, "the manifest")
    versions: dict[int, dict[str, Any]] = {}
    used: set[str] = set()
    for number in range(1, head + 1):
        said = values["versions"][f"v{number}"]
        state = _normalised(said["state"], algorithm, f"version v{number}")
        _require_paths(state, f"version v{number}")
        if not state.keys() <= manifest.keys():
            raise BadValue(f"version v{number} has a hash that the manifest has not")
        used |= state.keys()
        versions[number] = {**said, "state": state}
    if used != manifest.keys():
        raise BadValue("its manifest has a hash that no version has")
    _require_paths(manifest, "the manifest")
    place = re.compile(rf"v([1-9][0-9]{{0,6}})/{re.escape(content)}/[^/].*", re.DOTALL)
    for paths in manifest.values():
        for path in paths:
            found = place.fullmatch(path)
            if found is None or int(found[1]) > head:
                raise BadValue(f"its manifest has a path that is not below a version's content: {path[:200]!r}")
    return Inventory(values["id"], algorithm, head, content, manifest, versions, values.get("fixity", {}))


def flattened(paths: Paths) -> dict[str, str]:
    """Return the hash of each path."""
    return {path: digest for digest, names in paths.items() for path in names}


def _normalised(paths: Paths, algorithm: str, where: str) -> dict[str, list[str]]:
    """Return the paths with hashes in lower case. Raise BadValue for what is no hash, a hash twice, or no path."""
    made: dict[str, list[str]] = {}
    for digest, names in paths.items():
        low = digest.lower()
        if _HEX[algorithm].fullmatch(low) is None:
            raise BadValue(f"{where} has a name that is no {algorithm}: {digest[:150]!r}")
        if low in made or not names:
            raise BadValue(f"{where} has a hash twice, or without paths")
        made[low] = names
    return made


def _require_paths(paths: Paths, where: str) -> None:
    """Raise BadValue if a path is twice, unsafe, or another path's folder."""
    every: set[str] = set()
    for path in _each(paths):
        if path in every or any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise BadValue(f"{where} has a path twice, or one that is not allowed: {path[:200]!r}")
        every.add(path)
    # In this order what is below a path follows it at once.
    ordered = sorted(path.replace("/", "\0") for path in every)
    for path, following in pairwise(ordered):
        if following.startswith(f"{path}\0"):
            folder = path.replace("\0", "/")
            raise BadValue(f"{where} has a path that is another one's folder: {folder[:200]!r}")


def _each(paths: Paths) -> Iterable[str]:
    return (path for names in paths.values() for path in names)
