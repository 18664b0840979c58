"""The block of an export of Google Vault as a data source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import HttpUrl

from prefect_collect.blocks._export import ExportSource
from prefect_collect.blocks.logos import Logo

if TYPE_CHECKING:
    from prefect_collect.connectors.foreign_exports.layout import Format


class VaultExportSource(ExportSource):
    """An export of Google Vault, as it was downloaded: its ZIP files, metadata, error reports and checksums.

    Items are the messages of its mbox files and all its files (PST files, documents, the lists), in its ZIP files or
    unpacked. What the metadata says of an item is the item's metadata, in names that begin with ``export.``. What the
    metadata or the checksums name and the files do not hold is an item that failed (``missing_in_export``), and so is
    what Google reports as not exported; the checksums are compared.

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        custodian: The person or department whose data it is, for jobs that name no other.
        inside: The folder or bucket with the export's files: a source of files, or its path or URL.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import VaultExportSource

        source = VaultExportSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "Google Vault Export"
    _block_type_slug = "vault-export-source"
    _logo_url: ClassVar[Any] = Logo(
        "vault-export-source.png",
        "https://cdn.sanity.io/images/3ugk85nk/production/82bc6ed16ca42a2252a5512c72233a253b8a58eb-250x250.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")
    scheme: ClassVar[str] = "vault"

    @classmethod
    def layout(cls) -> Format:
        """Return how exports of Google Vault are laid out."""
        from prefect_collect.connectors.foreign_exports.vault import VAULT

        return VAULT
