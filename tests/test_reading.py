"""What exceptions of sources mean."""

from __future__ import annotations

import itertools

import pytest

from prefect_collect.errors import SourceError, TransientSourceError
from prefect_collect.items import Content, Failure, Item
from prefect_collect.reading import failure_of, read_through, read_whole
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


@pytest.mark.parametrize("announced", [25, None])
def test_a_body_without_end(announced: int | None) -> None:
    """It is cut as soon as more has come than the source, or else the listing, announced."""
    content = Content(itertools.repeat(b"x" * 10), size=announced)
    taken: list[object] = []
    with pytest.raises(TransientSourceError, match="More than the 25 bytes") as caught:
        read_through(Item("a", "a", 25), content, taken.append)
    assert (caught.value.code, len(taken)) == ("truncated", 2)


def test_another_version() -> None:
    """A version that differs from the listing's is a change."""
    with pytest.raises(SourceError, match="version was v1 and is v2") as caught:
        read_whole(Item("a", "a", 1, version="v1"), Content([b"a"], version="v2"))
    assert caught.value.code == "changed_during_read"
