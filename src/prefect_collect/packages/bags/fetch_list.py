"""Checks fetch.txt (RFC 8493, section 2.2.3), the list of payload files to be fetched. Nothing is ever fetched."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from prefect_collect.archive.problems import Damaged, shown
from prefect_collect.packages.bags.files import BagFiles
from prefect_collect.packages.bags.info import add_bom
from prefect_collect.packages.bags.manifests import Manifests
from prefect_collect.packages.bags.paths_listed import ODD, Listed, find_listed
from prefect_collect.packages.bags.text import BOM, cut_short, lines
from prefect_collect.packages.problems import Tally

FETCH: Final = "fetch.txt"
_LINE: Final = re.compile(r"(\S+)[ \t]+(-|\d{1,19})[ \t]+(.+)", re.DOTALL | re.ASCII)
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
"""An absolute URI: a scheme, then only characters that URIs have (RFC 3986)."""

_LINES: Final = 500
_SHOWN: Final = 300
_ODD_LINES: Final = ODD | {"empty": "lines are empty"}


def read_fetch_list(bag: BagFiles, manifests: Manifests) -> dict[str, str]:
    """Check the list; return the URL, cut for display, of each missing file that it lists."""
    entry, holes = bag.entry(FETCH), dict[str, str]()
    if entry is None:
        return holes
    problems, tally, at = bag.findings.problems, Tally(), 0
    numbered = enumerate(lines(bag.chunks(entry), bag.declared.encoding), 1)
    try:
        while batch := list(islice(numbered, _LINES)):
            if at == 0 and batch[0][1].startswith(BOM):
                add_bom(FETCH, bag.declared, bag.findings)
                batch[0] = (1, batch[0][1][1:])
            parsed: list[tuple[int, str, str, str]] = []
            for at, line in batch:
                found = _LINE.fullmatch(line)
                if found is not None and _URL.fullmatch(found[1]):
                    parsed.append((at, found[1], found[2], found[3]))
                elif not line.strip():
                    tally.add("empty", f"line {at:,}")
                else:
                    what = "has no absolute URL" if found else "is not a URL, a length and a path"
                    problems.add(FETCH, f"line {at:,} is malformed: it {what}")
            listed = find_listed(bag, [("", path) for _, _, _, path in parsed], slash=True)
            for (number, url, length, _), target in zip(parsed, listed, strict=True):
                _judge(bag, manifests, number, url, length, target, tally, holes)
    except Damaged as error:
        problems.add(FETCH, cut_short(error))
    tally.report(FETCH, bag.findings.tolerated, _ODD_LINES)
    return holes


def _judge(
    bag: BagFiles,
    manifests: Manifests,
    at: int,
    url: str,
    length: str,
    target: Listed,
    tally: Tally,
    holes: dict[str, str],
) -> None:
    problems, path = bag.findings.problems, target.path
    for kind in target.odd:
        tally.add(kind, f"line {at:,}")
    if target.wrong:
        problems.add(FETCH, f"line {at:,} {target.wrong}: {shown(path[:200])}")
    elif not path.startswith("data/"):
        problems.add(FETCH, f"line {at:,} lists {shown(path[:200])!r}, but may list only payload (data/…)")
    elif target.number is None:
        lists = manifests.missing.lists.get(path)
        if lists is None and not manifests.missing.more and all(m.is_whole for m in manifests.payload):
            problems.add(path, f"{FETCH} lists it to be fetched, but no payload manifest lists it")
        elif lists is not None:
            holes.setdefault(path, f"{shown(url[:_SHOWN])}{'…' if len(url) > _SHOWN else ''}")
            for manifest in manifests.payload if bag.declared.is_final else ():
                if manifest.is_whole and all(manifest is not other for other in lists):
                    problems.add(path, f"{FETCH} lists it to be fetched, but {manifest.name} does not list it")
    elif length != "-" and int(length) != target.size:
        bag.findings.tolerated.add(path, f"{FETCH} gives it {length} bytes, but it has {target.size}")
