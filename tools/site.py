"""Copy what the documentation's site is made of into build/docs: `python -m tools.site`; `make docs` then runs MkDocs.

The pages lie where a reader of the repository looks for them (README.md, docs/, benchmarks/), while MkDocs wants one
folder. The copy keeps the layout, so that relative links lead to the same files in both.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SITE: Final = ROOT / "build" / "docs"
_PAGES: Final = ("*.md", "docs/*.md", "benchmarks/**/*.md", "tests/*.md")
_LINK: Final = re.compile(r"\]\(([^)#\s]+)")


def main() -> None:
    """Copy each page, and each file of the repository that a page links to."""
    shutil.rmtree(SITE, ignore_errors=True)
    for page in (path for pattern in _PAGES for path in ROOT.glob(pattern)):
        _copy(page)
        for link in _LINK.findall(page.read_text(encoding="utf-8")):
            linked = (page.parent / link).resolve()
            if "://" not in link and linked.is_file():
                _copy(linked)


def _copy(file: Path) -> None:
    to = SITE / file.relative_to(ROOT)
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, to)


if __name__ == "__main__":
    main()
