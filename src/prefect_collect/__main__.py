"""Run the command line: ``python -m prefect_collect`` does the same as ``prefect-collect``."""

from __future__ import annotations

from prefect_collect.cli import main

if __name__ == "__main__":
    main()
