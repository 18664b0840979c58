"""The name of the setting that says where things are by default; what the setting is, Prefect knows (`flows`)."""

from __future__ import annotations

from typing import Final

STORE_VARIABLE: Final = "PREFECT_INTEGRATIONS_COLLECT_STORE"
"""The environment variable that names the default staging store: a directory or ``s3://bucket/prefix``."""
