"""The forms of deployments: what Prefect's UI asks a user who starts a job, and what its server checks.

Prefect makes both from the flow's signature wherever a deployment is made: `serve`, ``flow.deploy``, ``flow.serve`` and
``prefect deploy`` all call its `parameter_schema`. The job flows' own signature makes no form for people: an abstract
block (`DataSource`) offers no saved block to pick and fails the server's check, ``str | None`` becomes two tabs, titles
are variable names. So `parameter_schema` is shown another signature (`form_signature`), which says of each parameter
how it is to be asked for; everything else sees the function's own, in plain types:

- a block is picked by its name from the saved ones; an abstract one offers every concrete subclass of it that this
  process knows when the deployment is made. A source of one's own must therefore have been imported by then; otherwise
  its blocks are not in the form, and the server refuses them while the deployment enforces its schema.
- a parameter that may be None is an optional field, and left out of the run if nothing is filled in;
- a dataclass or a pydantic model is a group of fields;
- a `Literal` is a choice.

Titles are the parameters' names as words, or `Field(title=…)`; descriptions are the docstring's (`Args:`, of a group
`Attributes:`), or `Field(description=…)`; the order is the signature's.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from prefect import Flow
from prefect.blocks.core import Block
from prefect.utilities.callables import parameter_docstrings, parameter_schema
from pydantic import BaseModel, Field, TypeAdapter, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from prefect_collect.storable import STORABLE_PATTERN

_TEXTS = (str, Path, UUID)
_EMPTY = inspect.Parameter.empty
_NO_SCHEMAS = frozenset({"const", "default", "enum", "examples"})
"""What of a JSON schema holds values and no schemas."""


class Signature:
    """The signature of a job flow: its function's, in plain types; to Prefect's `parameter_schema`, the form.

    A descriptor for ``__signature__`` of a flow class. The form is made anew each time, as block classes get known over
    time.
    """

    def __get__(self, flow: Flow[..., Any] | None, owner: type) -> inspect.Signature:
        """Return the flow's signature. Raises AttributeError for the class, which has its own."""
        if flow is None:
            raise AttributeError("__signature__")
        return form_signature(flow.fn) if _makes_schema() else plain_signature(flow.fn)


def plain_signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the function's signature without what its annotations say to Prefect."""
    hints = get_type_hints(function)
    signature = inspect.signature(function)
    parameters = [one.replace(annotation=hints[name]) for name, one in signature.parameters.items()]
    return signature.replace(parameters=parameters)


def _makes_schema() -> bool:
    """Return whether this is called, through `inspect.signature`, by Prefect's `parameter_schema`.

    Prefect 3.8 has no other place where a flow can say what its deployments ask for.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not parameter_schema.__code__:
        frame = frame.f_back
    return frame is not None


def register_blocks(*flows: Flow[..., Any]) -> None:
    """Make known to Prefect's server the block types that the flows' forms offer; without, the UI shows an error."""
    for block in dict.fromkeys(found for flow in flows for found in blocks_of(flow)):
        block.register_type_and_schema()


def blocks_of(flow: Flow[..., Any]) -> list[type[Block]]:
    """The block classes that the flow's form offers to be picked."""
    hints = get_type_hints(flow.fn, include_extras=True)
    classes = (found for name, hint in hints.items() if name != "return" for found in _blocks_in(hint))
    return list(dict.fromkeys(classes))


def form_signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return a signature of which Prefect makes the form: an annotation is a JSON schema, a default a `Field`."""
    hints = get_type_hints(function, include_extras=True)
    descriptions = parameter_docstrings(inspect.getdoc(function))
    parameters = []
    for name, parameter in inspect.signature(function).parameters.items():
        field = _field(hints[name], parameter.default)
        shown = _shown(name, field, descriptions.get(name, ""), nested=False)
        # Prefect overrides the title with the name, but takes it from here.
        field = Field(
            default=shown.get("default", ...),
            description=shown.pop("description", None),
            json_schema_extra={"title": shown["title"]},
        )
        wanted: Any = Annotated[Any, WithJsonSchema(shown)]
        if parameter.default is not _EMPTY and "default" not in shown:
            wanted = Annotated[wanted, _Omitted()]
        parameters.append(parameter.replace(annotation=wanted, default=field))
    return inspect.Signature(parameters)


class _Omitted:
    """Marks a parameter that may be left out and shows no default."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default_factory=NoneType)


def _field(hint: Any, default: Any) -> FieldInfo:
    """What an annotation and a default (either may hold a pydantic Field) say of a parameter."""
    if default is _EMPTY:
        return FieldInfo.from_annotation(hint)
    return FieldInfo.from_annotated_attribute(hint, default)


def _shown(name: str, field: FieldInfo, description: str, *, nested: bool) -> dict[str, Any]:
    """The JSON schema of one field of a form."""
    shown = _asked(field)
    shown["title"] = field.title or name.replace("_", " ").capitalize()
    described = (field.description or description).replace("`", "")  # the UI shows them as they are
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if default not in (None, (), [], ""):
        default = TypeAdapter(Any).dump_python(default, mode="json")
        if not nested:
            shown["default"] = default
        elif default is not False:
            # A default in a group would fill the group in, although it may be left out.
            described = f"{described} By default {default}."
    if described:
        shown["description"] = described[0].upper() + described[1:]
    return shown


def _asked(field: FieldInfo) -> dict[str, Any]:
    """How the values of a field are asked for."""
    options = [one for one in _alternatives(field.annotation) if one is not NoneType]
    texts = [one for one in options if one in _TEXTS]
    blocks = list(_blocks_in(field.annotation))
    groups = [one for one in options if _is_group(one)]
    rest = [
        one
        for one in options
        if one not in texts and one not in groups and not _is_block(one) and not (groups and get_origin(one) is dict)
    ]
    asked = [_group(group) for group in groups]
    asked += [_plain(one, field.metadata) for one in rest]
    if texts:
        asked.append({**_plain(str, field.metadata), "title": "Path or URL" if Path in texts else "Text"})
    asked += [_picked(block) for block in blocks]
    if blocks and NoneType in _alternatives(field.annotation):
        # Prefect lets an optional field be null only if it has a type; alternatives have none.
        asked[-1]["type"] = ["object", "null"]
    return asked[0] if len(asked) == 1 else {"anyOf": asked}


def _picked(block: type[Block]) -> dict[str, Any]:
    """A saved block of that type, by reference: as Prefect's UI sends it (the id), or its client (a table)."""
    reference = {
        "anyOf": [
            {"type": "string", "format": "uuid"},
            {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
        ]
    }
    slug = block.get_block_type_slug()
    return {
        "title": block.get_block_type_name(),
        # What makes a picker of it, to Prefect's present UI and, among alternatives, to its older one (V1).
        "block_type_slug": slug,
        "blockTypeSlug": slug,
        "type": "object",
        "properties": {"$ref": reference},
        "required": ["$ref"],
    }


def _group(group: type) -> dict[str, Any]:
    """A dataclass or a model, as the fields that it has."""
    # Prefect reads only a docstring's parameters.
    descriptions = parameter_docstrings((inspect.getdoc(group) or "").replace("Attributes:", "Args:"))
    fields = dict(_fields(group))
    properties = {
        name: {**_shown(name, field, descriptions.get(name, ""), nested=True), "position": position}
        for position, (name, field) in enumerate(fields.items())
    }
    required = [name for name, field in fields.items() if field.is_required()]
    shown: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**shown, "required": required} if required else shown


def _fields(group: Any) -> Iterator[tuple[str, FieldInfo]]:
    if issubclass(group, BaseModel):
        yield from group.model_fields.items()
        return
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        default: Any = _EMPTY
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        yield field.name, _field(hints[field.name], default)


def _plain(kind: Any, metadata: Iterable[Any]) -> dict[str, Any]:
    """What pydantic makes of a type that is nothing of the above, within its bounds; no text in it holds a NUL."""
    for bound in metadata:
        kind = Annotated[kind, bound]
    return _storable(TypeAdapter(kind).json_schema())


def _storable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, which lets the server refuse by its field a text that its database would take for a failure."""
    if schema.get("type") == "string" and schema.keys().isdisjoint({"enum", "const", "pattern"}):
        return {**schema, "pattern": STORABLE_PATTERN}
    return {name: value if name in _NO_SCHEMAS else _storable_below(value) for name, value in schema.items()}


def _storable_below(value: Any) -> Any:
    if isinstance(value, list):
        return [_storable_below(one) for one in value]
    return _storable(value) if isinstance(value, dict) else value


def _alternatives(hint: Any) -> list[Any]:
    if get_origin(hint) is Annotated:
        return _alternatives(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [found for one in get_args(hint) for found in _alternatives(one)]
    return [hint]


def _blocks_in(hint: Any) -> Iterator[type[Block]]:
    for one in _alternatives(hint):
        if _is_block(one):
            yield from _pickable(one)


def _pickable(base: type[Block]) -> list[type[Block]]:
    """The concrete block classes that can be given for `base`; for any block, those that make a store."""
    import prefect_collect.blocks.registered  # noqa: F401  # So that this package's own are known.

    known = {found.get_block_type_slug(): found for found in _with_subclasses(base) if not inspect.isabstract(found)}
    return [found for found in known.values() if base is not Block or callable(getattr(found, "store", None))]


def _with_subclasses(base: type[Block]) -> Iterator[type[Block]]:
    yield base
    for below in base.__subclasses__():
        yield from _with_subclasses(below)


def _is_block(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Block)


def _is_group(kind: Any) -> bool:
    if not isinstance(kind, type) or _is_block(kind):
        return False
    return dataclasses.is_dataclass(kind) or issubclass(kind, BaseModel)
