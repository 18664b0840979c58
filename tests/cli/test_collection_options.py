"""The options of a collection on the command line agree with what takes their values."""

from __future__ import annotations

from dataclasses import fields
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from typer.models import OptionInfo

from prefect_collect.blocks import FileSource, HttpListSource, ObjectStoreSource
from prefect_collect.cli._collection_options import OPTIONS, CollectionOptions
from prefect_collect.collecting.policy import CollectionPolicy
from prefect_collect.flows import AutoExport, collect
from prefect_collect.sources.query import Query

DECLARED = get_type_hints(CollectionOptions, include_extras=True)
TAKEN = {
    "flow": collect.parameters.properties,
    "export": AutoExport.model_json_schema()["properties"],
    "query": {each.name: {} for each in fields(Query)},
    "source": {**FileSource.model_fields, **HttpListSource.model_fields, **ObjectStoreSource.model_fields},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_what_it_is_given_to(name: str) -> None:
    """Each option sets a field that the flow, the export, the query or the source has."""
    assert (OPTIONS[name].field or name) in TAKEN[OPTIONS[name].group]


@pytest.mark.parametrize("name", [name for name, of in OPTIONS.items() if of.group in ("flow", "export")])
def test_an_option_says_what_the_flow_says(name: str) -> None:
    """An option has the default, bounds and choices of the parameter that it sets, and the engine's default."""
    taken = TAKEN[OPTIONS[name].group][OPTIONS[name].field or name]
    assert getattr(CollectionOptions(), name) == taken.get("default")
    policy = CollectionPolicy()
    engine = {**policy.recorded(), "concurrency": policy.concurrency, "tries": policy.retry.tries}
    assert engine.get(name, taken.get("default")) == taken.get("default")
    kind, *said = get_args(DECLARED[name])
    [option] = [one for one in said if isinstance(one, OptionInfo)]
    kinds = [one for one in taken.get("anyOf", [taken]) if one["type"] != "null"]
    assert (option.min, option.max) in [(one.get("minimum"), one.get("maximum")) for one in kinds]
    choices = [each for one in (kind, *get_args(kind)) if get_origin(one) is Literal for each in get_args(one)]
    assert choices == ([one["const"]] if "const" in (one := kinds[0]) else one.get("enum", []))
