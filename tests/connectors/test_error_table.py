"""The table of errors in docs/sources.md: for each source, the codes that its code names, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import prefect_collect
from prefect_collect.codes import CODES

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = Path(prefect_collect.__file__).parent
ROW: Final = re.compile(r"\| (.+?) \| `([a-z_]+)` \| (.+) \|")
TABLE: Final = re.compile(r"^\| source \|.*\n\| ---.*\n((?:\|.*\n)+)", re.MULTILINE)

CONNECTORS: Final = {
    "a folder": ("files",),
    "`s3://`": ("s3",),
    "`gs://`, `az://`": ("object_store",),
    "`sftp://`": ("sftp",),
    "`imaps://`, `imap://`": ("imap",),
    "`webdavs://`, `webdav://`": ("webdav",),
    "`rclone://`": ("rclone",),
    "`urls://`, `urls+https://`": ("url_list",),
    "`postgresql://`, `mysql://`, `mariadb://`, `sqlite://`": ("sql",),
    "`mbox:`": ("mbox",),
    "`vault:`": ("foreign_exports",),
    "`slack:`": ("foreign_exports",),
    "`purview:`": ("foreign_exports",),
}
"""The folders of connectors by the sources, as the documentation calls them."""

PURE: Final = {
    "prefect_collect.connectors.errors": {"source_error", "one_line"},
    "prefect_collect.connectors.files.tree": {"encode_id", "decode_id", "shown", "is_below"},
    "prefect_collect.connectors.http.headers": set[str](),
}
"""Functions that give an error no code of their own."""

OF_FILES: Final = {"bad_credentials", "connection_lost", "throttled", "timeout", "canceled"}
"""Codes with which the files themselves fail, which are those of the folder or bucket that they are in."""

OF_ZIP_FILES: Final = {"checksum_mismatch", "encrypted_entry", "path_unsafe", "unreadable_entry"}
OF_LISTS: Final = {"missing_in_export", "not_exported"}

NOT_POSSIBLE: Final = {
    "`rclone://`": {"address_refused"},  # of rclone on this machine, whose addresses are not guarded
    "`mbox:`": OF_FILES | OF_ZIP_FILES,  # ZIP files are not looked into
    "`vault:`": OF_FILES | {"linked_file", "empty_channel"},  # those of Slack
    "`slack:`": OF_FILES | OF_LISTS | {"unsure_split"},  # it has no list of its messages, and no mbox files
    "`purview:`": OF_FILES | {"linked_file", "empty_channel", "unsure_split"},
}
"""What the code that several sources share can raise, and one of them cannot."""

SHARED: Final = (
    "prefect_collect.connectors.", "prefect_collect.sources.depth", "prefect_collect.stores.os_meanings",
)  # fmt: skip
FOLDERS, FOLDERS_FILE = "prefect_collect.blocks.file_source", "blocks/file_source.py"
"""The block of folders, which itself looks at files."""

OF_EVERY_SOURCE: Final = ("collecting.checked_read", "collecting.incremental", "sources")


@cache
def modules() -> dict[str, Path]:
    """Return the file of every module by its name."""
    files = {".".join(path.relative_to(SOURCE.parent).with_suffix("").parts): path for path in SOURCE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in files.items()} | {FOLDERS: ROOT / FOLDERS_FILE}


def within(name: str) -> list[str]:
    """Return the modules of a folder, or the module of that name."""
    full = f"prefect_collect.{name}"
    return [each for each in modules() if each == full or each.startswith(f"{full}.")]


@cache
def known(name: str) -> tuple[set[str], set[str]]:
    """Return the codes that stand in a module, and the modules from which it takes more than pure names.

    These are modules of connectors, and what all of them share.
    """
    codes, imports = set[str](), set[str]()
    for node in ast.walk(ast.parse(modules()[name].read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in CODES:
            codes.add(node.value)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                found = below if below in modules() else node.module
                is_pure = alias.name in PURE.get(found, ()) or PURE.get(found) == set()
                if found in modules() and found.startswith(SHARED) and not is_pure:
                    imports.add(found)
    return codes, imports


def codes_in(names: Iterable[str]) -> set[str]:
    """Return the codes that stand in modules."""
    return set[str]().union(*(known(name)[0] for name in names))


def reached(names: Iterable[str]) -> set[str]:
    """Return modules, and those that they use."""
    found, left = set[str](), [*names]
    while left:
        if (name := left.pop()) not in found:
            found.add(name)
            left += known(name)[1]
    return found


def documented() -> dict[str, dict[str, str]]:
    """Return what the table says: by source and code, when that is."""
    section = (ROOT / "docs/sources.md").read_text().split("## Errors\n")[1].split("\n## ")[0]
    table: dict[str, dict[str, str]] = {}
    for source, code, when in ROW.findall(section):
        assert code not in table.setdefault(source, {}), f"{source} has {code} twice"
        table[source][code] = when
    return table


@pytest.mark.parametrize("source", CONNECTORS)
def test_every_code_of_a_source_is_documented(source: str) -> None:
    """The codes of a source's connector, and of what it uses of others, are the rows of the source."""
    names = [name for folder in CONNECTORS[source] for name in within(f"connectors.{folder}")]
    names += [FOLDERS] if source == "a folder" else []
    assert documented()[source].keys() == codes_in(reached(names)) - NOT_POSSIBLE.get(source, set())


def test_codes_of_every_source() -> None:
    """The codes of the checks that every source's items pass are the rows of every source."""
    names = [name for room in OF_EVERY_SOURCE for name in within(room) if not name.endswith((".depth", ".sampling"))]
    assert documented()["every source"].keys() == codes_in(names)


def test_every_source_is_documented() -> None:
    """The three tables have the same sources, which are all that there are."""
    assert documented().keys() == CONNECTORS.keys() | {"every source"}
    folders = {path.name for path in (SOURCE / "connectors").iterdir() if (path / "__init__.py").exists()}
    shared = {"buckets", "containers", "http", "mail"}
    assert {folder for of_source in CONNECTORS.values() for folder in of_source} == folders - shared
    page = (ROOT / "docs/sources.md").read_text().split("## Errors\n")[0]
    first, second = TABLE.findall(page)
    for table in (first, second):
        named = " ".join(row.split(" | ")[0] for row in table.splitlines())
        for source in CONNECTORS:
            for scheme in re.findall(r"`[a-z0-9+]+:(?://)?`", source) or ["| a folder"]:
                assert named.count(scheme) == 1, f"{scheme} is not in each table"


def test_skipped_items_are_said_to_be_so() -> None:
    """A row about what is left out on purpose says so, as its table is about what fails."""
    skipped = {"symlink", "special_file", "empty_folder", "virtual_folder", "unsure_split", "looked_into", "unchanged",
               "delete_marker", "empty_channel", "staging_store"}  # fmt: skip
    for source, codes in documented().items():
        for code, when in codes.items():
            is_list = (source, code) == ("`urls://`, `urls+https://`", "special_file")  # the list itself
            assert when.startswith("skipped: ") == (code in skipped and not is_list), (source, code)
            assert when.startswith("not attempted: ") == CODES[code].elsewhere
