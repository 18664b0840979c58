"""Settings of prefect-collect, where Prefect's own are: ``prefect.toml``, profiles and the environment."""

from __future__ import annotations

from typing import ClassVar

from prefect.settings import get_current_settings
from prefect.settings.base import PrefectBaseSettings, build_settings_config
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class CollectSettings(PrefectBaseSettings):
    """``[integrations.collect]`` in prefect.toml, or variables ``PREFECT_INTEGRATIONS_COLLECT_*``."""

    model_config: ClassVar[SettingsConfigDict] = build_settings_config(("integrations", "collect"))

    store: str | None = Field(
        default=None,
        description="The staging store where none is named: a directory or s3://bucket/prefix.",
    )


def default_store() -> str:
    """The staging store where none is named: the setting, else the folder ``collect`` in Prefect's home."""
    return CollectSettings().store or str(get_current_settings().home / "collect")
