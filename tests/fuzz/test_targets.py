"""The fuzzing targets on their own seeds, whole and damaged; ``make fuzz`` runs them for any length of time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_target(name: str) -> None:
    """A target reads its seeds, no bytes and any damaged seed, or refuses them with an error of ours."""
    target = TARGETS[name]
    seeds = [b"", *target.seeds()]

    @settings(max_examples=examples(15), deadline=None)
    @given(st.sampled_from(seeds), st.integers(0, 10_000), st.integers(0, 40), st.binary(max_size=9))
    def check(seed: bytes, at: int, size: int, new: bytes) -> None:
        at = at % (len(seed) + 1)
        target(seed[:at] + new + seed[at + size :])

    for seed in seeds:
        target(seed)
    check()
