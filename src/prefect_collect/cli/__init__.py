"""The command line: ``prefect-collect``, also as ``python -m prefect_collect``.

Only a command that is run is imported, so that help is shown at once and what needs no Prefect does not load it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper

__all__ = ["main", "run"]


def main() -> None:
    """Run the command line of this process and end it with the exit code.

    What the encoding of standard output lacks is printed as an escape, as Python does on standard error.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; errors are one line on standard error."""
    from prefect_collect.cli._app import app
    from prefect_collect.cli._run_command import run_command

    return run_command(app, list(arguments) or ["--help"])
