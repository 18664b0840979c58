"""Make blocks/logos/*.png from the drawings in tools/logos: `python -m tools.block_logos`. Needs Chromium."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SIZE: Final = 256
"""Pixels a side: Prefect's UI shows logos at 32 and 56."""


def main() -> None:
    """Draw each logo in Chromium, on a transparent page of its size."""
    for drawing in sorted((ROOT / "tools" / "logos").glob("*.svg")):
        picture = ROOT / "blocks" / "logos" / f"{drawing.stem}.png"
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            page.write_text(f"<style>* {{ margin: 0 }} svg {{ display: block }}</style>{drawing.read_text()}")
            subprocess.run(
                ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
                 f"--window-size={SIZE},{SIZE}", "--default-background-color=00000000", f"--screenshot={picture}",
                 page.as_uri()],
                check=True, capture_output=True,
            )  # fmt: skip
        print(picture.relative_to(ROOT))


if __name__ == "__main__":
    main()
