"""Lines with the time, as commands print them that run for long."""

from __future__ import annotations

import sys
from datetime import datetime

from prefect_collect.escaping import one_line


def say(line: str) -> None:
    """Print a line with the time on standard error."""
    print(f"{datetime.now():%H:%M:%S} {one_line(line)}", file=sys.stderr, flush=True)
