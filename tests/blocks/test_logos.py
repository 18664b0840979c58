"""The blocks' logos are files of the package; if no server serves them, the address is one of Prefect's own logos."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from prefect.blocks.core import Block
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

from prefect_collect.blocks import DataSource
from prefect_collect.blocks.registered import REGISTERED

LOGOS = Path(__file__).parents[2] / "blocks" / "logos"
BLOCKS: list[type[Block]] = [block for block in REGISTERED if isinstance(block, type) and block is not DataSource]
"""The blocks of the package that are configured, whose base is none of them."""


@pytest.mark.parametrize("block", BLOCKS)
def test_each_block_has_a_logo(block: type[Block]) -> None:
    """A logo is a square PNG file of 256 pixels, named like the block type's slug (Prefect requires 46 to 999)."""
    head = (LOGOS / f"{block.get_block_type_slug()}.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:24]) == (256, 256)


@pytest.mark.parametrize("server", [None, "http://127.0.0.1:9/api"])
def test_without_a_server_that_serves_them(server: str | None) -> None:
    """Without a server that serves the logos, every block's logo has an address on the internet."""
    with temporary_settings({PREFECT_API_URL: server, PREFECT_UI_URL: None}):
        for block in BLOCKS:
            url = block._logo_url
            assert url is not None
            assert url.host in ("cdn.sanity.io", "raw.githubusercontent.com")
