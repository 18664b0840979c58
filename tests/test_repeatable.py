"""A run of the tests fails for what was changed, and not by chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import EXPLORE


@pytest.mark.skipif(EXPLORE, reason="`make explore` is to try other examples in each run")
def test_property_tests_try_the_same_examples() -> None:
    """A property test tries the same examples whenever it runs."""
    tried: list[list[int]] = []

    @given(st.integers())
    def run(number: int) -> None:
        tried[-1].append(number)

    for _ in range(2):
        tried.append([])
        run()
    assert tried[0] == tried[1]
    assert len(set(tried[0])) > 2
