"""The block of a directory as staging store or destination."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from pydantic import Field, HttpUrl, field_validator, model_validator

from prefect_collect.blocks._schema_once import SchemaOnce
from prefect_collect.blocks.logos import Logo
from prefect_collect.errors import InvalidLocation
from prefect_collect.storable import require_storable
from prefect_collect.stores import DirectoryStore, Store
from prefect_collect.stores.addresses import require_meant, require_unsigned, shown


class DirectoryStoreBlock(SchemaOnce):
    """A directory that jobs write to: a staging store for collections, or an export's destination.

    Attributes:
        path: The directory; it is created at the first write.

    Example:
        Load a stored directory and export a collection (by its job id) into it:
        ```python
        from prefect_collect import export
        from prefect_collect.blocks import DirectoryStoreBlock

        destination = DirectoryStoreBlock.load("BLOCK_NAME")
        export(collection_job="JOB_ID", destination=destination)
        ```
    """

    _block_type_name = "Collect Directory Store"
    _block_type_slug = "collect-directory-store"
    _logo_url: ClassVar[Any] = Logo(
        "collect-directory-store.png",
        "https://cdn.sanity.io/images/3ugk85nk/production/ad39089fa66d273b943394a68f003f7a19aa850e-48x48.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")

    path: str = Field(
        description="The directory, on a disk or share that has the same path on every worker.",
    )

    @model_validator(mode="before")
    @classmethod
    def _check_storable(cls, fields: Any) -> Any:
        """Refuse a text that Prefect could not store when the block is saved; the error names the field."""
        require_storable(fields, "", InvalidLocation)
        return fields

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str) -> str:
        """Return the absolute path, so that it does not depend on the working directory of a worker."""
        require_unsigned(path, "path")
        require_meant(path, "path")
        if not path or "://" in path:
            raise InvalidLocation(f"path must be the path of a directory. [path={shown(path)!r}]")
        return os.path.abspath(os.path.expanduser(path))

    def store(self) -> Store:
        """Return the store in the directory."""
        return DirectoryStore(self.path)
