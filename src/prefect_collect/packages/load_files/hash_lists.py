"""Reads the lists of hashes of a package into the index of its files."""

from __future__ import annotations

from itertools import islice
from typing import Final

from prefect_collect.archive.problems import Damaged
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.manifests import Manifest
from prefect_collect.packages.contents.name_keys import unpack
from prefect_collect.packages.load_files.reading import read_hashes

_LINES: Final = 500


def read_hash_list(files: BagFiles, manifest: Manifest, seal: str, folder: str = "") -> bool:
    """Add what the list `seal` in a folder of the package states to the manifest; return False if it is missing.

    Files that are missing, or listed twice, are added to the findings.
    """
    name, index, base, problems = f"{folder}{seal}", files.index, files.base, files.findings.problems
    entry = files.entry(name)
    if entry is None:
        return False
    lines = read_hashes(files.chunks(entry))
    try:
        while batch := list(islice(lines, _LINES)):
            paths = [f"{base}{folder}{path}" for path, _ in batch]
            found = index.find_all(paths)
            for path in paths:
                if path not in found:
                    problems.add(path[len(base) :], f"it is missing; {name} lists it")
            listed = [(found[path][0], digest) for path, (_, digest) in zip(paths, batch, strict=True) if path in found]
            for number, _, _ in index.list_digests(manifest.number, listed):
                twice = next(path for path in found if found[path][0] == number)
                problems.add(twice[len(base) :], "the manifests list it twice")
    except Damaged as error:
        problems.add(name, f"it was not read to its end, so that files may be missing unseen: {error}")
    return True


def report_unlisted(files: BagFiles, manifest: Manifest, seal: str) -> None:
    """Add the files that no list has to the findings, but the list `seal` of the package itself."""
    for name in files.index.unlisted(files.base, [manifest.number]):
        path = name[len(files.base) :]
        if path != seal:
            files.findings.problems.add(path, "no manifest of the package lists it")


def report_folders(files: BagFiles) -> None:
    """Add entries of folders to the findings, which a ZIP file made here does not have."""
    if files.container.reads_all:
        for (name,) in files.index.query("SELECT name FROM file WHERE substr(name, -1) = CAST('/' AS BLOB)"):
            files.findings.problems.add(unpack(name), "it is a folder that does not belong there")
