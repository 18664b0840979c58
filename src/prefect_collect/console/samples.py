"""Samples of the sources that users are describing, kept for a while: each change of a filter needs the same items."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from time import monotonic
from typing import Final

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.console.recent import Recent
from prefect_collect.sources.sampling import FIRST, MOST, Sample, take_sample

SECONDS: Final = 8.0
"""The most seconds for which a user waits for a listing."""

_KEPT_SECONDS: Final = 120.0
_MOST_KEPT: Final = 8


class Samples:
    """Samples by source; used from several threads."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = monotonic,
        take: Callable[[DataSource, int, float], Sample] = take_sample,
    ) -> None:
        self._clock, self._take = clock, take
        self._lock = threading.Lock()
        self._kept: Recent[str, tuple[Sample, float]] = Recent(_MOST_KEPT)

    def first(self, source: DataSource) -> Sample:
        """Return the first items of a source as it is now: never a kept sample."""
        return self._take(source, FIRST, SECONDS)

    def large(self, source: DataSource) -> Sample:
        """Return up to `MOST` items of a source, as they were at most two minutes ago."""
        key = _key(source)
        with self._lock:
            found = self._kept.get(key)
            if found is not None and self._clock() - found[1] < _KEPT_SECONDS:
                return found[0]
        sample = self._take(source, MOST, SECONDS)
        if sample.failure is None:
            with self._lock:
                self._kept.put(key, (sample, self._clock()))
        return sample


def _key(source: DataSource) -> str:
    """Return a hash of all fields of a source, with its credentials."""
    fields = source.model_dump(mode="json", context={"include_secrets": True})
    text = json.dumps([source.get_block_type_slug(), fields], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
