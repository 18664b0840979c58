"""Inflating in steps."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_collect.archive.inflating import inflated
from prefect_collect.archive.problems import Damaged


def deflated(data: bytes) -> bytes:
    """Return raw deflated bytes, as in a ZIP file."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@given(st.binary(max_size=3000), st.integers(1, 500))
def test_comes_back(data: bytes, step: int) -> None:
    """However the deflated bytes are cut, they inflate to the original."""
    stored = deflated(data)
    chunks = [memoryview(stored)[at : at + step] for at in range(0, len(stored), step)]
    assert b"".join(inflated(chunks, len(data))) == data


def test_no_step_is_large() -> None:
    """A bomb is inflated a MiB at a time, and stopped at the stated size."""
    bomb = deflated(bytes(64 << 20))
    assert max(map(len, inflated([bomb], 64 << 20))) == 1 << 20
    with pytest.raises(Damaged, match="more than its stated size"):
        list(inflated([bomb], 1000))


@pytest.mark.parametrize(
    "chunks", [[], [deflated(b"x" * 99)[:-1]], [deflated(b"x"), b"more"], [deflated(b"x") + b"more"], [b"\xff\xff"]]
)
def test_damage_is_found(chunks: list[bytes]) -> None:
    """Bytes that end too early or too late, or are not deflated, are damaged."""
    with pytest.raises(Damaged):
        list(inflated(chunks, 99))
