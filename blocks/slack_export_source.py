"""The block of an export of Slack as a data source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import HttpUrl

from prefect_collect.blocks._export import ExportSource
from prefect_collect.blocks.logos import Logo

if TYPE_CHECKING:
    from prefect_collect.connectors.foreign_exports.layout import Format


class SlackExportSource(ExportSource):
    """An export of Slack, as it was downloaded: a ZIP file, or the folder that it was unpacked to.

    Items are the files of the export, byte for byte: one for each day of a channel or conversation, and the lists of
    users and channels. The metadata of a day names the channel, its kind and members, the participants, the number of
    messages and the first and last time. Files that were shared are links, which are not followed and
    reported as not attempted (``linked_file``); a channel without messages is skipped (``empty_channel``).

    Attributes:
        name: The source's name in messages and in the name of its Prefect concurrency limit.
        lifecycle: ACTIVE; or SUSPENDED or ARCHIVED, so that no job starts on the source.
        inside: The ZIP file, or the folder or bucket with it: a source of files, or its path or URL.

    Example:
        Load a stored source and collect it:
        ```python
        from prefect_collect import collect
        from prefect_collect.blocks import SlackExportSource

        source = SlackExportSource.load("BLOCK_NAME")
        collect(source=source)
        ```
    """

    _block_type_name = "Slack Export"
    _block_type_slug = "slack-export-source"
    _logo_url: ClassVar[Any] = Logo(
        "slack-export-source.png",
        "https://cdn.sanity.io/images/3ugk85nk/production/82bc6ed16ca42a2252a5512c72233a253b8a58eb-250x250.png",
    )
    _documentation_url = HttpUrl("https://docs.prefect.io/v3/concepts/blocks")
    scheme: ClassVar[str] = "slack"

    @classmethod
    def layout(cls) -> Format:
        """Return how exports of Slack are laid out."""
        from prefect_collect.connectors.foreign_exports.slack import SLACK

        return SLACK
