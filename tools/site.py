"""Copy the pages of the documentation's site, and check the site that MkDocs made of them. `make docs` does all three.

    python -m tools.site            # copies the pages into build/docs
    python -m tools.site check      # fails if a page in build/site loads anything from the network

The pages lie where a reader of the repository looks for them (README.md, docs/, benchmarks/), while MkDocs wants one
folder. The copy keeps the layout, so that relative links lead to the same files in both.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = ROOT / "build" / "docs"
SITE: Final = ROOT / "build" / "site"
_PAGES: Final = ("*.md", "docs/*.md", "benchmarks/**/*.md", "tests/*.md")
_LINK: Final = re.compile(r"\]\(([^)#\s]+)")
_LOADED: Final = re.compile(
    r"""<(?!a\b)[^>]+(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)|@import[^;]+//|url\(["']?https?:"""
)


def check() -> None:
    """Exit with the addresses that pages and style sheets of the site load from the network, if there are any."""
    files = [*SITE.rglob("*.html"), *SITE.rglob("*.css")]
    found = {f"{file.relative_to(SITE)}: {match[0]}" for file in files for match in _LOADED.finditer(file.read_text())}
    if found or not files:
        sys.exit("\n".join(sorted(found)) or "There is no site; run make docs.")


def main() -> None:
    """Copy each page, and each file of the repository that a page links to."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for page in (path for pattern in _PAGES for path in ROOT.glob(pattern)):
        _copy(page)
        for link in _LINK.findall(page.read_text(encoding="utf-8")):
            linked = (page.parent / link).resolve()
            if "://" not in link and linked.is_file():
                _copy(linked)


def _copy(file: Path) -> None:
    to = PAGES / file.relative_to(ROOT)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, to)


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        check()
    else:
        main()
