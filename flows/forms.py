"""The forms of deployments: the fields that Prefect's UI shows to start a job, and the schema that its server checks.

Prefect makes both from the flow's signature whenever a deployment is created: `serve`, ``flow.deploy``, ``flow.serve``
and ``prefect deploy`` all call its `parameter_schema`. The plain signature of a job flow would make a poor form: an
abstract block (`DataSource`) offers no saved block and fails the server's check, ``str | None`` becomes two tabs, and
titles are variable names. So `parameter_schema` gets another signature (`form_signature`), made by these rules; all
other callers get the function's own, in plain types:

- A block is chosen by name from the saved ones. An abstract block offers every concrete subclass that this process has
  imported when the deployment is created. Otherwise the blocks of a user's own source are not in the form, and the
  server refuses them if the deployment enforces its schema.
- A parameter that may be None is an optional field, and is left out of the run if it is empty.
- A dataclass or a pydantic model is a group of fields.
- A `Literal` is a choice.

Titles are the parameters' names as words, or `Field(title=…)`. Descriptions are those of the docstring (`Args:`, for a
group `Attributes:`), or `Field(description=…)`. The order is that of the signature.
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
from prefect.context import SyncClientContext
from prefect.utilities.callables import parameter_docstrings, parameter_schema
from pydantic import BaseModel, Field, TypeAdapter, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from prefect_collect.storable import STORABLE_PATTERN

_TEXTS = (str, Path, UUID)
_EMPTY = inspect.Parameter.empty
_NO_SCHEMAS = frozenset({"const", "default", "enum", "examples"})
"""The keys of a JSON schema whose values are not schemas."""


class Signature:
    """The signature of a job flow: its function's, in plain types; for Prefect's `parameter_schema`, that of the form.

    It is a descriptor for ``__signature__`` of a flow class. The form is made at each call, as block classes may have
    been imported since.
    """

    def __get__(self, flow: Flow[..., Any] | None, owner: type) -> inspect.Signature:
        """Return the flow's signature. Raise AttributeError for the class, which has its own."""
        if flow is None:
            raise AttributeError("__signature__")
        return form_signature(flow.fn) if _makes_schema() else plain_signature(flow.fn)


def plain_signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the function's signature without the metadata of its annotations, which are for Prefect."""
    hints = get_type_hints(function)
    signature = inspect.signature(function)
    parameters = [one.replace(annotation=hints[name]) for name, one in signature.parameters.items()]
    return signature.replace(parameters=parameters)


def _makes_schema() -> bool:
    """Return whether this is called, through `inspect.signature`, by Prefect's `parameter_schema`.

    Prefect 3.8 gives a flow no other way to define the form of its deployments.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not parameter_schema.__code__:
        frame = frame.f_back
    return frame is not None


def register_blocks(*flows: Flow[..., Any]) -> None:
    """Register the block types of the flows' forms with Prefect's server; otherwise the UI shows an error."""
    # One client for all: each reads the machine's certificates again, and Prefect makes one for each type.
    with SyncClientContext.get_or_create():
        for block in dict.fromkeys(found for flow in flows for found in blocks_of(flow)):
            block.register_type_and_schema()


def blocks_of(flow: Flow[..., Any]) -> list[type[Block]]:
    """Return the block classes that the flow's form offers."""
    hints = get_type_hints(flow.fn, include_extras=True)
    classes = (found for name, hint in hints.items() if name != "return" for found in _blocks_in(hint))
    return list(dict.fromkeys(classes))


def form_signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature from which Prefect makes the form: annotations are JSON schemas, defaults are `Field`s."""
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
    """The mark of a parameter that may be left out and shows no default."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default_factory=NoneType)


def _field(hint: Any, default: Any) -> FieldInfo:
    """Return the field that an annotation and a default describe; either may hold a pydantic Field."""
    if default is _EMPTY:
        return FieldInfo.from_annotation(hint)
    return FieldInfo.from_annotated_attribute(hint, default)


def _shown(name: str, field: FieldInfo, description: str, *, nested: bool) -> dict[str, Any]:
    """Return the JSON schema of one field of a form."""
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
    """Return the JSON schema for the values of a field: a text, a choice, a saved block, or a group."""
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
    """Return the schema of a reference to a saved block, as Prefect's UI (the id) or its client (a table) sends it."""
    reference = {
        "anyOf": [
            {"type": "string", "format": "uuid"},
            {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
        ]
    }
    slug = block.get_block_type_slug()
    return {
        "title": block.get_block_type_name(),
        # These make Prefect's UI show a list of saved blocks, among alternatives also its older UI (V1).
        "block_type_slug": slug,
        "blockTypeSlug": slug,
        "type": "object",
        "properties": {"$ref": reference},
        "required": ["$ref"],
    }


def _group(group: type) -> dict[str, Any]:
    """Return the schema of a dataclass or a model: a group of its fields."""
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
    """Return pydantic's schema of any other type, with its bounds, and with a pattern against NUL in texts."""
    for bound in metadata:
        kind = Annotated[kind, bound]
    return _storable(TypeAdapter(kind).json_schema())


def _storable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with a pattern for texts, so that the server names the field of a text it cannot store."""
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
    """Return the concrete block classes that can be given for `base`; for `Block` itself, those that make a store."""
    import prefect_collect.blocks.registered  # noqa: F401  # This imports the blocks of this package.

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
