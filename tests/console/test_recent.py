"""A mapping of what was used last."""

from __future__ import annotations

from prefect_collect.console.recent import Recent


def test_the_oldest_values_are_dropped() -> None:
    """At most so many values are kept; one that is put or asked for with `of` is the newest, one that is got is not."""
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.of("a", lambda: 9) == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    assert recent.get("a") == 1
    recent.put("d", 4)
    assert [recent.get(key) for key in "acd"] == [None, 3, 4]
    recent.drop("c")
    recent.drop("c")
    assert recent.of("c", lambda: 5) == 5
