"""The pages name files, headings, keys and columns that exist, and what programs write into them is fresh."""

from __future__ import annotations

import importlib
import inspect
import os
import pydoc
import re
import shutil
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

import prefect_collect
from prefect_collect.job_folder import store_keys
from prefect_collect.statuses import JobKind, JobStatus, next_steps
from tests.support.documented_examples import RUN, all_examples
from tools import columns_table, python_page

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
_GENERATED: Final = {"build", "demo", "dist"}
_TEXT: Final = {"", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}
_PAGE_NAME: Final = re.compile(r"(?<![\w./:-])[\w./-]*\w\.md\b")
_FILE_NAME: Final = re.compile(r"[`(]((?:[\w-]+/)+[\w-]+\.(?:py|svg|toml|ya?ml))\b")
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")


def _texts() -> list[Path]:
    """Every text file of the repository but generated, hidden and test data files."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name[0] != "." and name not in _GENERATED | {"data"}]
        found += [Path(folder) / name for name in names if Path(name).suffix in _TEXT]
    return sorted(found)


PAGES: Final = [path for path in _texts() if path.suffix == ".md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_example_is_run_or_says_why_not(page: Path) -> None:
    """Each block of `sh` or `python` is of a page whose blocks of that language a test runs, or the comment before it
    names the test that runs it, which names the page, or says why none does.
    """
    name = str(page.relative_to(ROOT))
    for example in all_examples(name):
        if test := re.fullmatch(r"run by (\S+\.py)", example.comment):
            assert page.name in (ROOT / test[1]).read_text(encoding="utf-8"), example
        elif not re.fullmatch(r"not run: \w.+", example.comment):
            assert name in RUN[example.language], example


def test_every_named_page_exists() -> None:
    """A page that a file names lies in the root, in docs/, in tests/data/ or beside the file."""
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in _texts()
        for name in _PAGE_NAME.findall(path.read_text(encoding="utf-8"))
        if not any((folder / name).is_file() for folder in (ROOT, DOCS, path.parent, ROOT / "tests" / "data"))
    ]
    assert missing == []


def test_every_named_file_exists() -> None:
    """A program, picture or setting that a page names in backquotes or brackets lies in the root or in the package."""
    missing = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in PAGES
        for name in _FILE_NAME.findall(_without_code(page))
        if not any((folder / name).is_file() for folder in (ROOT, ROOT / "src" / "prefect_collect", page.parent))
    ]
    assert missing == []


def test_bare_names_of_modules_exist() -> None:
    """A module that docs/architecture.md names without its folder lies in the folder of the one named before it."""
    missing = []
    for line in (DOCS / "architecture.md").read_text(encoding="utf-8").splitlines():
        folder = ROOT / "src" / "prefect_collect"
        for name in re.findall(r"`([\w./-]+\.py)`", line):
            if "/" in name:
                folder = next(base for base in (ROOT, ROOT / "src" / "prefect_collect") if (base / name).is_file())
                folder = (folder / name).parent
            elif not any((base / name).is_file() for base in (folder, ROOT / "src" / "prefect_collect")):
                missing.append(name)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Each link and picture of a page is a file of the repository, and each anchor a heading of its page."""
    missing = []
    for link in _LINK.findall(_without_code(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        goal = page.parent / name if name else page
        if not goal.exists() or (anchor and anchor not in _anchors(goal)):
            missing.append(link)
    assert missing == []


@cache
def _without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@cache
def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub and MkDocs give to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", _without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def test_every_page_is_in_the_navigation() -> None:
    """mkdocs.yml lists each page of docs/ once, and README, CONTRIBUTING, SECURITY and CHANGELOG."""
    listed = re.findall(r"^ +- .*?: ?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    wanted = {f"docs/{path.name}" for path in DOCS.glob("*.md")}
    wanted |= {"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}
    assert sorted(listed) == sorted(set(listed))
    assert wanted - set(listed) == set()


def test_the_page_of_the_staging_store_names_the_present_columns() -> None:
    """docs/staging-store.md is what tools/columns_table.py makes of it; run that after changing a schema."""
    page = (DOCS / "staging-store.md").read_text()
    assert columns_table.filled(page) == page


def test_the_page_of_the_python_api_is_that_of_the_docstrings() -> None:
    """docs/python.md is what tools/python_page.py makes of it; run that after changing a public docstring."""
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    assert python_page.filled(page) == page


def test_the_table_of_statuses_is_the_specifications() -> None:
    """The table in docs/jobs.md names each status with the next steps of the status model."""
    lines = (DOCS / "jobs.md").read_text(encoding="utf-8").splitlines()
    rows = {cells[0]: cells[2:4] for line in lines if len(cells := _cells(line)) == 4}
    for status in JobStatus:
        assert status.value in rows
        for kind, cell in zip(JobKind, rows[status.value], strict=True):
            try:
                steps = next_steps(kind, status)
            except Exception:
                steps = ()
            assert cell == ", ".join(steps), (status, kind)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("| ") else []


def test_the_docstring_of_the_package_names_what_is_public() -> None:
    """`help(prefect_collect)` lists every public name with the first sentence of its own help, and little else.

    So it does after the names were used, too.
    """
    said = " ".join((prefect_collect.__doc__ or "").split())
    for name in (*prefect_collect._HOMES, "jobs"):
        text = " ".join((inspect.getdoc(getattr(prefect_collect, name)) or "").split("\n\n")[0].split())
        assert f" {name} {text.partition('. ')[0].removesuffix('.')}." in said, name
    shown = pydoc.plain(pydoc.render_doc(prefect_collect)).splitlines()
    assert len(shown) < 200
    assert not any(line.startswith(("CLASSES", "    class ")) for line in shown)


def test_a_star_imports_nothing() -> None:
    """`from prefect_collect import *` brings no name, neither of the package nor of what it uses itself."""
    names: dict[str, object] = {}
    exec("from prefect_collect import *", names)
    assert set(names) == {"__builtins__"}


def test_every_block_is_on_the_page_of_prefects_ui() -> None:
    """docs/prefect-ui.md names each block type that a user can add: sources, staging stores."""
    from prefect_collect import blocks

    page = (DOCS / "prefect-ui.md").read_text(encoding="utf-8")
    kinds = {getattr(blocks, name) for name in blocks.__all__ if name not in ("DataSource", "source_from")}
    assert [name for kind in kinds if f"*{(name := kind.get_block_type_name())}*" not in page] == []


def test_every_command_is_on_the_page_of_the_command_line() -> None:
    """The table in docs/command-line.md names every command that there is."""
    from prefect_collect.cli._app import program

    page = (DOCS / "command-line.md").read_text(encoding="utf-8")
    names = [info.name or getattr(info.callback, "__name__", "") for info in program([]).registered_commands]
    assert [name for name in names if f"| `{name} " not in page and f"| `{name}`" not in page] == []
    assert len(names) == 20


def test_the_documented_keys_are_those_that_are_written() -> None:
    """The grammars in docs/staging-store.md and store_keys.py name exactly the keys that `store_keys` makes."""
    keys = {
        store_keys.job_key("J"),
        store_keys.query_key("J", "<SHA-256>"),
        store_keys.attempt_key("J", 1),
        store_keys.stop_key("J", 1),
        store_keys.cancel_key("J", 1),
        store_keys.inventory_key("J", 1, 0),
        store_keys.inventory_end_key("J", 1),
        store_keys.ledger_key("J", 1, 0),
        store_keys.segment_key("J", store_keys.segment_name(1, 0)),
        store_keys.segment_key("J", store_keys.segment_name(1, 0, 17)),
        store_keys.segment_key("J", store_keys.segment_name(1, 0, run="5eed1234")),
        store_keys.manifest_key("J", 1),
        store_keys.report_key("J", 1, "errors.parquet"),
        store_keys.report_key("J", 1, "errors.csv"),
        store_keys.report_key("J", 1, "names.csv"),
        store_keys.report_key("J", 1, "numbers.parquet"),
        store_keys.result_key("J", 1),
        store_keys.selection_key("J", "<SHA-256>"),
        store_keys.evidence_key("J", 1),
        store_keys.custody_key("J", 1),
    }
    for text in ((DOCS / "staging-store.md").read_text(), store_keys.__doc__ or ""):
        _, _, grammar = text.partition("<job id>/\n")
        lines = [line for line in grammar.split("\n\n")[0].splitlines() if line.strip()]
        assert {f"J/{line.split()[0]}" for line in lines} == keys


def _example(page: str, language: str) -> str:
    """Return the one example in that language on a page."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return str(found)


def _deployments() -> list[dict[str, Any]]:
    """Return the deployments of prefect.yaml, and the one that docs/deploy.md adds."""
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
    """systemd accepts the unit in docs/operating.md, and its command is ours."""
    text = _example("operating.md", "ini")
    program = re.search(r"^ExecStart=(\S+/)prefect-collect serve --limit \d+$", text, re.MULTILINE)
    assert program is not None
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not here")
    unit = tmp_path / "prefect-collect.service"
    unit.write_text(text.replace(program[1], f"{sysconfig.get_path('scripts')}/"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
