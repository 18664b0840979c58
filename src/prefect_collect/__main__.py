"""``python -m prefect_collect`` is ``prefect-collect``."""

from __future__ import annotations

from prefect_collect.cli import main

if __name__ == "__main__":
    main()
