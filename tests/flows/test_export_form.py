"""The fields of an export's form."""

from __future__ import annotations

from prefect.utilities.callables import parameter_schema

from prefect_collect.flows import export
from prefect_collect.flows.auto_exports import AutoExport


def test_portable_names_are_asked_for() -> None:
    """Portable names are a field of the export's form, and of the export with a collection; off by default."""
    field = parameter_schema(export).model_dump()["properties"]["portable_names"]
    auto = AutoExport.model_json_schema()["properties"]["portable_names"]
    for each in (field, auto):
        assert (each["title"], each["default"], each["type"]) == ("Portable names", False, "boolean")
