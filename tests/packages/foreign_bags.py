"""Bags as other tools make them, to be written as a folder or a ZIP file."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

PAYLOAD: Mapping[str, bytes] = {"data/a.txt": b"alpha", "data/b/c.txt": b"beta"}


def line(path: str, content: bytes, algorithm: str = "sha256") -> bytes:
    """Return one line of a manifest."""
    return f"{hashlib.new(algorithm, content).hexdigest()}  {path}\n".encode()


def manifest(files: Mapping[str, bytes], algorithm: str = "sha256") -> bytes:
    """Return a manifest of these files."""
    return b"".join(line(path, content, algorithm) for path, content in files.items())


def declared(version: str = "1.0", encoding: str = "UTF-8") -> bytes:
    """Return a bagit.txt."""
    return f"BagIt-Version: {version}\nTag-File-Character-Encoding: {encoding}\n".encode()


def bag(
    version: str = "1.0", payload: Mapping[str, bytes] = PAYLOAD, /, tagged: bool = True, **tags: bytes | None
) -> dict[str, bytes]:
    """Return a bag's files; `tags` replace or add tag files (``bagit_txt=…``; None leaves one out) before listing.

    A tag manifest lists them all, unless `tagged` is false.
    """
    files = {"bagit.txt": declared(version), "manifest-sha256.txt": manifest(payload)}
    for key, content in tags.items():
        name = key.replace("__", "-").replace("_txt", ".txt")
        files.pop(name, None)
        if content is not None:
            files[name] = content
    if tagged:
        files["tagmanifest-sha256.txt"] = manifest(files)
    return {**files, **payload}


def with_files(files: Mapping[str, bytes], more: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return these files, with more tag files that the tag manifest lists."""
    every = {**files, **more}
    tags = {name: every[name] for name in every if not name.startswith(("data/", "tagmanifest-"))}
    return {**every, "tagmanifest-sha256.txt": manifest(tags)}


def as_folder(files: Mapping[str, bytes], root: Path) -> Path:
    """Write a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def as_zip(files: Mapping[str, bytes], path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a ZIP file; names that begin with "../" are outside of the bag's folder."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name[3:] if name.startswith("../") else f"bag/{name}", content)
    return path
