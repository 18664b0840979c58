"""Finds the file of a bag that a line of a manifest or fetch.txt means, however its path is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prefect_collect.archive.problems import shown
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.text import bag_decode, bag_encode
from prefect_collect.packages.contents.name_keys import composed

ODD: Final = {
    "star": 'lines have a "*" before the path, as md5sum writes it; a strict reader refuses them',
    "dot": 'lines have "./" before the path, or empty or "." parts in it; a strict reader refuses them',
    "blank": "lines end in spaces or tabs that are not part of the path",
    "percent": "lines write % in another way than this BagIt version does (1.0: as %25; before: as it is)",
    "escape": "lines escape a backslash as md5sum does; a strict reader refuses them",
    "form": "paths differ from the files' only in their Unicode form (as NFC and NFD do)",
    "slash": 'paths begin with "/", which is read as the bag\'s folder',
}
"""Ways to write a path that violate BagIt but leave no doubt about which file is meant."""

_EMPTY_PARTS: Final = re.compile(r"\A(?:\./+)+|(?<=/)(?:\.?/)+")
"""Parts of a path that change nothing: "." and empty ones, except a slash at the start."""


@dataclass(slots=True)
class Listed:
    """The meaning of a line: a path, and the number and size of the file, if it exists.

    `odd` holds keys of ODD; `wrong` is why such a path may not be listed; `hint` names what a missing file may be.
    """

    path: str
    number: int | None = None
    size: int = 0
    odd: tuple[str, ...] = ()
    wrong: str = ""
    hint: str = ""


def find_listed(bag: BagFiles, written: Sequence[tuple[str, str]], *, slash: bool = False) -> list[Listed]:
    """Return the meaning of lines, each given as md5sum's escape ("\\" or "") and the path as it is written.

    With `slash`, a path that begins with "/" is a path in the bag, as drafts of BagIt have it for fetch.txt.
    """
    final = bag.declared.is_final
    paths = [bag_decode(path) if final else path for _, path in written]
    found = bag.index.find_all([bag.base + path for path in paths])
    return [
        Listed(path, *entry, ("percent",) if final and "%" in raw and bag_encode(path).lower() != raw.lower() else ())
        if (entry := found.get(bag.base + path)) is not None and not escape and not path.endswith("/")
        else _oddly(bag, path, raw, escape, slash and not final)
        for path, (escape, raw) in zip(paths, written, strict=True)
    ]


def _oddly(bag: BagFiles, path: str, raw: str, escape: str, slash: bool) -> Listed:
    """Return the meaning of a path that is not, as it is written, that of a file."""
    for candidate, odd in _readings(bag, raw, escape, slash):
        entry = bag.index.find(bag.base + candidate)
        if entry is not None and not candidate.endswith("/"):
            return Listed(candidate, entry.number, entry.size, odd)
    wrong = _wrong(bag, path, slash)
    if wrong:
        return Listed(path, wrong=wrong)
    stripped, odd = _plain(path)
    alike = [name[len(bag.base) :] for name in bag.index.alike(bag.base + stripped) if name.startswith(bag.base)]
    for name in alike:
        entry = bag.index.find(bag.base + name) if composed(name) == composed(stripped) else None
        if entry is not None:
            return Listed(name, entry.number, entry.size, (*odd, "form"))
    hint = f"; {shown(alike[0][:200])} exists, whose name differs only in upper and lower case" if alike else ""
    return Listed(stripped, hint=hint)


def _readings(bag: BagFiles, raw: str, escape: str, slash: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield other readings of a path, and what is odd about each; the proper one of this version was tried."""
    decoded = bag_decode(raw)
    first, second = (decoded, raw) if bag.declared.is_final else (raw, decoded)
    if escape:
        yield _unescaped(first.removeprefix("*")), ("escape",)
    # Before BagIt 1.0 there is no other way to write a line break, and the drafts of 0.97 prescribe this one.
    other: tuple[str, ...] = ("percent",) if bag.declared.is_final or "%25" in raw else ()
    if second != first:
        yield second, other
    for reading, odd in ((first, ()), (second, other)):
        plain, more = _plain(reading)
        if plain != reading:
            yield plain, (*more, *odd)
        if slash and plain.startswith("/"):
            yield plain.lstrip("/"), (*more, *odd, "slash")


def _plain(path: str) -> tuple[str, tuple[str, ...]]:
    """Return a path without md5sum's star, parts that change nothing, and spaces at its end."""
    odd: list[str] = []
    if path.startswith("*"):
        path = path[1:]
        odd.append("star")
    # The expression alone takes 30 µs for each kilobyte of a path.
    if path.startswith("./") or "//" in path or "/./" in path:
        plain = _EMPTY_PARTS.sub("", path)
        if plain != path:
            path = plain
            odd.append("dot")
    stripped = path.rstrip(" \t")
    if stripped != path:
        path = stripped
        odd.append("blank")
    return path, tuple(odd)


def _unescaped(path: str) -> str:
    """Return the path that md5sum escaped."""
    parts = path.split("\\\\")
    return "\\".join(part.replace("\\n", "\n").replace("\\r", "\r") for part in parts)


def _wrong(bag: BagFiles, path: str, slash: bool) -> str:
    """Return why such a path may not be listed at all; "" if it may."""
    plain = _plain(path)[0]
    parts = plain.replace("\\", "/").split("/")
    drive = len(plain) > 1 and plain[1] == ":" and plain[0].isalpha()
    if ".." in parts or drive or "\0" in plain or plain.startswith("\\\\") or (plain.startswith("/") and not slash):
        return "leads outside of the bag, or is more than a path in it"
    if plain.startswith("~") and not bag.index.has_below(f"{bag.base}{parts[0]}/"):
        return "names a user's home folder, which is outside of the bag"
    if "\\" in plain:
        turned = plain.replace("\\", "/")
        if bag.index.find(bag.base + turned) is not None:
            return f'writes a path with "\\" instead of "/" ({shown(turned[:200])} exists)'
    if bag.index.has_below(f"{bag.base}{plain.rstrip('/')}/"):
        return "lists a folder, and may only list files"
    return ""
