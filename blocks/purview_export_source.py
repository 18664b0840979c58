"""The block of an export of Microsoft Purview as a data source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import HttpUrl

from prefect_collect.blocks._export import ExportSource
from prefect_collect.blocks.logos import Logo

if TYPE_CHECKING:
    from prefect_collect.connectors.foreign_exports.layout import Format


class PurviewExportSource(ExportSource):
    """An export of Microsoft Purview eDiscovery, as it was downloaded: its ZIP files and its reports.

    Items are the files of the export, in its ZIP files or unpacked. What ``Items.csv``, ``Results.csv`` or
    ``Export_load_file.csv`` says of a file is the item's metadata, in names that begin with ``export.``; the hashes
    there are compared. What these lists name and the files do not hold is an item that failed
    (``missing_in_export``), and so is each row of the lists of errors.

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        inside: The folder or bucket with the export's files: a source of files, or its path or URL.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import PurviewExportSource

        source = PurviewExportSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "Microsoft Purview Export"
    _block_type_slug = "purview-export-source"
    _logo_url: ClassVar[Any] = Logo(
        "purview-export-source.png",
        "https://cdn.sanity.io/images/3ugk85nk/production/82bc6ed16ca42a2252a5512c72233a253b8a58eb-250x250.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")
    scheme: ClassVar[str] = "purview"

    @classmethod
    def layout(cls) -> Format:
        """Return how exports of Microsoft Purview are laid out."""
        from prefect_collect.connectors.foreign_exports.purview import PURVIEW

        return PURVIEW
