"""What exceptions of sources mean."""

from __future__ import annotations

import pytest

from prefect_collect.items import Failure, Item
from prefect_collect.reading import failure_of
from tests.engine.memory_source import MemorySource


class Clumsy(MemorySource):
    """A source whose `classify` has a fault of its own."""

    def classify(self, error: Exception, item: Item | None = None) -> Failure | None:
        """Fail."""
        raise KeyError("status")


@pytest.mark.parametrize("item", [None, Item("inbox/1", "inbox/1")])
def test_a_classify_that_raises_is_survived(item: Item | None) -> None:
    """The failure is unexpected, and names the exception that was asked about and the one of `classify`."""
    failure = failure_of(RuntimeError("lost it"), Clumsy({}), item)
    assert failure.code == "unexpected_error"
    assert "RuntimeError: lost it" in failure.message
    assert "classify raised KeyError: 'status'" in failure.message
    assert failure.message.endswith(f"[{item.id if item else Clumsy({}).name}]")
