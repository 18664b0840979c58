"""Commands without a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.no_server import read_settings_again


@pytest.fixture(scope="module")
def no_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the commands from finding or starting a server, also if earlier tests of this process used one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect-home")))
        patch.setenv("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")
        read_settings_again()
        yield
    read_settings_again()
