"""The documentation's tables are made from the code; these tests hold them together."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from prefect_collect import layout

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_the_staging_store_names_the_present_columns() -> None:
    """docs/staging-store.md is what docs/_columns.py makes of it now; run that script after changing a schema."""
    spec = importlib.util.spec_from_file_location("columns", DOCS / "_columns.py")
    assert spec is not None
    assert spec.loader is not None
    columns = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(columns)
    page = (DOCS / "staging-store.md").read_text()
    assert columns.filled(page) == page


def test_the_documented_keys_are_those_that_are_written() -> None:
    """The grammars in docs/staging-store.md and layout.py name exactly the keys that `layout` makes."""
    keys = {
        layout.job_key("J"),
        layout.attempt_key("J", 1),
        layout.stop_key("J", 1),
        layout.cancel_key("J", 1),
        layout.inventory_key("J", 1, 0),
        layout.inventory_end_key("J", 1),
        layout.ledger_key("J", 1, 0),
        layout.segment_key("J", layout.segment_name(1, 0)),
        layout.segment_key("J", layout.segment_name(1, 0, 17)),
        layout.segment_key("J", layout.segment_name(1, 0, run="5eed1234")),
        layout.manifest_key("J", 1),
        layout.report_key("J", 1, "errors.parquet"),
        layout.report_key("J", 1, "errors.csv"),
        layout.result_key("J", 1),
        layout.evidence_key("J", 1),
        layout.custody_key("J", 1),
    }
    for text in ((DOCS / "staging-store.md").read_text(), layout.__doc__ or ""):
        _, _, grammar = text.partition("<job id>/\n")
        lines = [line for line in grammar.split("\n\n")[0].splitlines() if line.strip()]
        assert {f"J/{line.split()[0]}" for line in lines} == keys
