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


def test_what_is_not_asked_of_duplicates_is_left_out() -> None:
    """Prefect's server takes no null for a choice, and deployments of earlier versions no such fields at all."""
    assert not {"deduplicate", "duplicates_of"} & AutoExport(destination="/out").model_dump().keys()
    asked = AutoExport(destination="/out", deduplicate="global", duplicates_of=["job"])
    assert AutoExport.model_validate(asked.model_dump(mode="json")) == asked
