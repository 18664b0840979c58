"""The settings of prefect-collect, beside Prefect's own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from prefect.settings.base import PrefectBaseSettings, build_settings_config
from pydantic import Field
from pydantic_settings import SettingsConfigDict


class CollectSettings(PrefectBaseSettings):
    """The settings ``[integrations.collect]`` of prefect.toml, or variables ``PREFECT_INTEGRATIONS_COLLECT_*``."""

    model_config: ClassVar[SettingsConfigDict] = build_settings_config(("integrations", "collect"))

    store: str | None = Field(
        default=None,
        description="The default staging store: a directory or s3://bucket/prefix (gs:// and az:// alike).",
    )
    console_url: str | None = Field(
        default=None,
        description="The address at which browsers reach the console; pages in Prefect's UI link to it.",
    )
    console_token_file: Path | None = Field(
        default=None,
        description="The console's file of tokens, for services: those of the option --token-file, also for `serve`.",
    )
