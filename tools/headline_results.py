"""Write the headlines of benchmarks/RESULTS.md into README.md: `python -m tools.headline_results`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = _ROOT / "benchmarks/RESULTS.md"
PAGE: Final = _ROOT / "README.md"
MARK: Final = "<!-- results -->"
HEADLINES: Final = {
    "10,000 small objects from S3 into a folder": "S3 to local, small objects",
    "the same with 20 ms to each answer": "S3 to local, small objects, 20 ms latency",
    "10,000 small files from a folder to S3": "local tree to S3, small files",
    "10,000 small files from an SFTP server": "SFTP to local, small files",
    "4 objects of 256 MB from S3 into a folder": "S3 to local, 4 objects of 256 MB",
    "export of 10,000 small files as one ZIP file": "export to a local ZIP",
}
"""What the README says of a comparison, and the comparison's name in the report."""


def _rows(results: str, heading: str) -> list[Sequence[str]]:
    """Return the rows of the table below a heading, without its header."""
    part = results.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def block(results: str) -> str:
    """Return the headlines of a report; a sentence if it is of a trial."""
    if "`--quick`" in results.partition("\n## ")[0]:
        return "Not measured yet: `make bench` writes the figures into [the results](benchmarks/RESULTS.md)."
    targets = _rows(results, "Targets")
    ratios: dict[str, list[str]] = {}
    for cells in targets:
        what, _, peer = cells[0].partition(": beside ")
        if peer:
            ratios.setdefault(what, []).append(f"{cells[2]} {peer}")
    began = re.search(r"began at (\S+)", results)
    machine = re.search(r"The machine: ([^,]+), (\d+) cores", results)
    kept = re.search(r"\*\*(\d+ of \d+) targets are met", results)
    if began is None or machine is None or kept is None:
        raise ValueError(f"{RESULTS.name} does not say when and where it was measured")
    lines = [
        "How many times as fast as other tools it is, while it also hashes, accounts for and stages each item. The "
        "time that each tool takes for an empty source is left out (one run of `make bench` on "
        f"{began[1]}, {machine[2]} cores of an {machine[1]}):",
        "", "| what | prefect-collect's speed |", "| --- | --- |",
    ]  # fmt: skip
    lines += [f"| {said} | {', '.join(ratios.get(name, ['not measured']))} |" for said, name in HEADLINES.items()]
    lines += ["", f"{kept[1]} targets are met; [all figures, and why some are missed](benchmarks/RESULTS.md)."]
    return "\n".join(lines)


def filled(page: str, results: str) -> str:
    """Return the page with the headlines of the report between its marks."""
    head, _, rest = page.partition(MARK)
    tail = rest.rpartition(MARK)[2]
    return f"{head}{MARK}\n\n{block(results)}\n\n{MARK}{tail}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(), RESULTS.read_text()))
