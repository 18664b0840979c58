"""The registry of package formats, and the places that use it."""

from __future__ import annotations

import inspect
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from prefect.utilities.callables import parameter_docstrings

from prefect_collect.cli._collection_options import CollectionOptions
from prefect_collect.cli._job_commands import export as export_command
from prefect_collect.exporting.delivery import Delivery
from prefect_collect.flows import AutoExport, export
from prefect_collect.formats import FORMATS, Format
from prefect_collect.formats.export_texts import EXPORT_TEXTS
from prefect_collect.jobs import start_export
from prefect_collect.packages import PACKAGE_FORMATS, PackageInput, PackagePlace, PackageSpec, check_items, verify
from prefect_collect.stores import DirectoryStore
from tests.support.package_modules import ROOT


def _choices(hint: Any) -> list[str]:
    """Return the formats that a type offers."""
    return [*get_args(get_args(hint)[0] if hasattr(hint, "__metadata__") else hint)]


def test_every_place_offers_every_format() -> None:
    """The flow and its form, an export made with a collection, and both commands offer every format, with its name."""
    offered = [
        get_type_hints(export.fn)["format"],
        get_type_hints(AutoExport)["format"],
        get_type_hints(CollectionOptions)["export_format"],
        get_type_hints(export_command)["format"],
        get_type_hints(Delivery)["format"],
        Format,
    ]
    assert [_choices(one) for one in offered] == [[*FORMATS]] * len(offered)
    assert [*PACKAGE_FORMATS] == [*FORMATS]
    assert [one.name for one in PACKAGE_FORMATS.values()] == [*FORMATS]
    pages = "".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("jobs.md", "command-line.md"))
    described = [" ".join((inspect.getdoc(each) or "").split()) for each in (export.fn, start_export)]
    for name, known in FORMATS.items():
        assert all(f'"{name}": {known.words}' in each for each in described)
        assert f"`{name}`" in pages


def test_every_place_says_the_same_of_a_parameter() -> None:
    """The docstrings of the flow and of the Python API, and the form of an export to follow, have the same texts."""
    of_flow, of_api = (parameter_docstrings(inspect.getdoc(each)) for each in (export.fn, start_export))
    of_form = {name: field.description for name, field in AutoExport.model_fields.items()}
    for name, text in EXPORT_TEXTS.items():
        assert [" ".join(of_flow[name].split()), " ".join(of_api[name].split()), of_form[name]] == [text] * 3
    how = {*inspect.signature(export.fn).parameters} - {"collection_job", "destination", "format", "name", "store"}
    assert {*EXPORT_TEXTS} == how


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_makes_a_package_under_its_key(name: Format, tmp_path: Path) -> None:
    """Its function makes a valid package, a file or a folder, at the key that a delivery states."""
    known, staging = FORMATS[name], DirectoryStore(tmp_path)
    delivery = Delivery(DirectoryStore(tmp_path / "exports"), name)
    spec = PackageSpec("base", "job", date(2026, 1, 31))

    def nothing(columns: list[str]) -> Any:
        return iter(())

    checked = check_items(nothing, staging, spec)
    delivery.require_free("base")
    given = PackageInput(nothing, nothing, checked, staging, spec)
    PACKAGE_FORMATS[name].build(given, PackagePlace(delivery.destination, delivery.key("base")))
    made = tmp_path / "exports" / delivery.key("base")
    assert made.name == f"base{known.suffix}"
    assert made.is_dir() == known.is_folder
    assert verify(made).valid
