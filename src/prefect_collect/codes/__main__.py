"""``python -m prefect_collect.codes`` prints the documentation page of all error codes."""

from __future__ import annotations

from prefect_collect.codes.page import render_page

if __name__ == "__main__":
    print(render_page(), end="")
