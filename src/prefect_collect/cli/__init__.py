"""The command line: ``prefect-collect``, also as ``python -m prefect_collect``.

A command's modules are imported when it runs, so that help is shown at once and Prefect is loaded only where needed.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from prefect_collect.runs.imports import importing

__all__ = ["main", "run"]


def main() -> None:
    """Run the command line of this process, and end the process with the exit code.

    Characters that the encoding of standard output lacks are printed as escapes, as Python does on standard error.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    gc.freeze()  # else the interpreter searches all that was imported for garbage before it ends
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command, and return its exit code; an error is printed as one line on standard error."""
    with importing(freeze=True):
        from prefect_collect.cli._app import program
        from prefect_collect.cli._run_command import run_command

        words = list(arguments) or ["--help"]
        app = program(words)
    return run_command(app, words)
