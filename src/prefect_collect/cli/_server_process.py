"""The process of a Prefect server that a command starts: Prefect's own command, imported in less time."""

from __future__ import annotations

import sys

from prefect_collect.runs.imports import importing


def main() -> None:
    """Run ``prefect`` with the arguments of this process."""
    with importing(freeze=True):
        import prefect.server.api.server
        from prefect.cli import app
    assert prefect.server.api.server
    sys.argv[0] = "prefect"
    app()


if __name__ == "__main__":
    main()
