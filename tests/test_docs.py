"""The documentation's tables are made from the code; these tests hold them together."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from prefect_collect import layout

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


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
        layout.query_key("J", "<SHA-256>"),
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
        layout.report_key("J", 1, "names.csv"),
        layout.result_key("J", 1),
        layout.evidence_key("J", 1),
        layout.custody_key("J", 1),
    }
    for text in ((DOCS / "staging-store.md").read_text(), layout.__doc__ or ""):
        _, _, grammar = text.partition("<job id>/\n")
        lines = [line for line in grammar.split("\n\n")[0].splitlines() if line.strip()]
        assert {f"J/{line.split()[0]}" for line in lines} == keys


def _example(page: str, language: str) -> str:
    """The one example in that language on a page of the documentation."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return str(found)


def _deployments() -> list[dict[str, Any]]:
    """The deployments of prefect.yaml, and the one that docs/deploy.md adds."""
    own = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
    added = yaml.safe_load(_example("deploy.md", "yaml"))
    return [*own["deployments"], *added]


@pytest.mark.parametrize("deployment", _deployments(), ids=lambda one: f"{one['entrypoint']}-{one['name']}")
def test_the_deployments_are_of_flows_that_are_there(deployment: dict[str, Any]) -> None:
    """Each entry point is a flow that can be imported; the parameters that are set are the flow's own."""
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties)
    assert deployment["work_pool"]["name"] == "collect"


def test_the_unit_of_systemd(tmp_path: Path) -> None:
    """systemd has nothing to say against the unit in docs/deploy.md, and its command is ours."""
    text = _example("deploy.md", "ini")
    program = re.search(r"^ExecStart=(\S+/)prefect-collect serve --limit \d+$", text, re.MULTILINE)
    assert program is not None
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not here")
    unit = tmp_path / "prefect-collect.service"
    unit.write_text(text.replace(program[1], f"{sysconfig.get_path('scripts')}/"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_the_links_lead_somewhere(page: str) -> None:
    """Each link of a page to a file, and to a heading of a page, has its goal."""
    for link in re.findall(r"\]\(([^)\s]+)\)", (DOCS / page).read_text()):
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        goal = DOCS / path if path else DOCS / page
        assert goal.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.+)$", goal.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}, link
