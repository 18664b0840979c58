"""The sizes of the parts of a large upload."""

from __future__ import annotations

import pytest

from prefect_collect.errors import StoreError
from prefect_collect.stores._object_writer import part_size

MIB = 1 << 20


def test_ten_thousand_parts_hold_the_largest_object() -> None:
    """5 TiB fit, no part is below S3's least size or above its largest, and none is smaller than the one before."""
    sizes = [part_size(number) for number in range(1, 10_001)]
    assert sum(sizes) >= 5 << 40
    assert min(sizes) >= 5 * MIB
    assert max(sizes) <= 5 << 30
    assert sizes == sorted(sizes)


def test_there_is_no_part_after_the_last() -> None:
    """A larger object is refused before S3 refuses it."""
    with pytest.raises(StoreError, match="5 TiB"):
        part_size(10_001)
