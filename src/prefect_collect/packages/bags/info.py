"""Reads bag-info.txt (RFC 8493, section 2.2.2); only values that are checked are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import Final

from prefect_collect.archive.problems import Damaged
from prefect_collect.packages.bags.text import BOM, Declaration, cut_short
from prefect_collect.packages.problems import Findings, Tally

KEPT: Final = frozenset({"bag-software-agent", "payload-oxum", "chain-of-custody"})
_OXUM: Final = re.compile(r"(\d{1,30})\.(\d{1,30})", re.ASCII)
_MOST: Final = 100
"""How many values of one label are kept."""

_LONGEST_VALUE: Final = 1000

_ODD: Final = {
    "spaces": "lines are not written as BagIt 1.0 wants it: a label without spaces around it, a colon, a space",
}


@dataclass(slots=True)
class BagInfo:
    """The values of the labels that are kept, by these labels in lower case."""

    values: dict[str, list[str]] = field(default_factory=dict)

    @property
    def tool(self) -> str:
        """The software that made the bag, as the bag states."""
        return next(iter(self.values.get("bag-software-agent", [])), "")


def info_name(version: tuple[int, int]) -> str:
    """Return the name of the file: package-info.txt before version 0.96."""
    return "package-info.txt" if version < (0, 96) else "bag-info.txt"


def read_info(
    name: str, lines: Iterable[str], declared: Declaration, findings: Findings, kept: Set[str] = KEPT
) -> BagInfo:
    """Read the file; add what is wrong with its form to the findings. `kept` are the labels to keep, in lower case."""
    info, tally = BagInfo(), Tally()
    parts: list[str] = []
    size, label, malformed, at = 0, "", 0, 0

    def end() -> None:
        values = info.values.setdefault(label, [])
        if len(values) < _MOST:
            values.append(" ".join(parts)[:_LONGEST_VALUE].strip())

    try:
        for at, text in enumerate(lines, 1):
            line = text.removeprefix(BOM) if at == 1 else text
            if line is not text:
                add_bom(name, declared, findings)
            if line[:1] in (" ", "\t") and label:
                if size < _LONGEST_VALUE:
                    parts.append(line.strip())
                    size += len(line)
                continue
            if parts and label in kept:
                end()
            found, colon, value = line.partition(":")
            label, parts, size = found.strip().lower(), [value.strip()], len(value)
            if not colon or not label:
                label, parts = "", []
                if line.strip():
                    malformed += 1
                    if malformed == 1:
                        findings.problems.add(name, f"line {at:,} is malformed: it is not a label, a colon and a value")
            elif declared.is_final and (found != found.strip() or value[:1] not in (" ", "\t")):
                tally.add("spaces", f"line {at:,}")
    except Damaged as error:
        findings.problems.add(name, cut_short(error))
    if parts and label in kept:
        end()
    if malformed > 1:
        findings.problems.add(name, f"{malformed - 1:,} more lines are malformed")
    tally.report(name, findings.tolerated, _ODD)
    return info


def check_oxum(info: BagInfo, name: str, found: tuple[int, int], declared: Declaration, findings: Findings) -> None:
    """Compare each Payload-Oxum with the bytes and files of the payload."""
    stated = info.values.get("payload-oxum", [])
    if len(stated) > 1:
        what = f"it has {len(stated)} Payload-Oxum, and may have one (RFC 8493, section 2.2.2)"
        (findings.problems if declared.is_final else findings.tolerated).add(name, what)
    for text in dict.fromkeys(stated):
        numbers = _OXUM.fullmatch(text)
        if numbers is None:
            findings.problems.add(name, f"its Payload-Oxum is malformed: {text[:100]}")
        elif (int(numbers[1]), int(numbers[2])) != found:
            what = f"its Payload-Oxum is {text}, but the payload is {found[0]}.{found[1]}"
            findings.problems.add(name, what)


def add_bom(name: str, declared: Declaration, findings: Findings) -> None:
    """Report that a tag file begins with a byte order mark, which its encoding does not need (section 2.3)."""
    what = f"it begins with a byte order mark (BOM), which {declared.encoding.upper()} does not need and BagIt forbids"
    (findings.problems if declared.version >= (0, 97) else findings.tolerated).add(name, what)
