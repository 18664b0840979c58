"""The JSON schema of blocks, made once for each class of them.

Prefect (3.8) asks for it once for each field of a block that it saves or dumps, which takes longer than the requests.
"""

from __future__ import annotations

from abc import ABC
from copy import deepcopy
from functools import cache
from typing import Any

from prefect.blocks.core import Block


class SchemaOnce(Block, ABC):
    """The base class of the blocks of this package, which know their JSON schemas."""

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        """Return the class's JSON schema, a copy that the caller may change; the arguments are those of pydantic."""
        return deepcopy(cls._schema(*args, **options))

    @classmethod
    @cache
    def _schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        return super().model_json_schema(*args, **options)
