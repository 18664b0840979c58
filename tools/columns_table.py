"""Write the columns of the Parquet files into docs/staging-store.md: `python -m tools.columns_table`."""

from __future__ import annotations

from pathlib import Path

from prefect_collect.job_folder import table_columns

PAGE = Path(__file__).parents[1] / "docs" / "staging-store.md"
MARK = "<!-- columns -->"


def table() -> str:
    """Return the columns of every Parquet file, as Markdown."""
    lines = []
    for title, schema in (
        ("inventory", table_columns.INVENTORY),
        ("ledger", table_columns.LEDGER),
        ("manifest", table_columns.MANIFEST),
        ("errors", table_columns.ERRORS),
    ):
        lines += [f"**{title}**: " + ", ".join(f"`{field.name}` {field.type}" for field in schema) + ".", ""]
    return "\n".join(lines)


def filled(page: str) -> str:
    """Return the page with the present columns between its marks."""
    head, _, rest = page.partition(MARK)
    tail = rest.rpartition(MARK)[2]
    return f"{head}{MARK}\n\n{table()}\n{MARK}{tail}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
