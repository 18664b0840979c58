"""While Prefect is imported, no garbage is looked for; afterwards it is, also if the import failed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from prefect_collect.runs.imports import importing


@pytest.fixture
def _without_prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have Prefect look as if it was not imported yet, and take back what is frozen."""
    monkeypatch.delitem(sys.modules, "prefect", raising=False)
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_without_prefect")
@pytest.mark.parametrize("freeze", [True, False])
def test_what_is_imported_is_not_searched_for_garbage(freeze: bool) -> None:
    """In the context, and in one within it, the search is off; after it, it leaves out what is there only if that was
    asked for: a program's own garbage is to be found.
    """
    gc.unfreeze()
    with importing(freeze=freeze):
        with importing():
            pass
        assert not gc.isenabled()
    assert (gc.isenabled(), gc.get_freeze_count() > 0) == (True, freeze)


@pytest.mark.usefixtures("_without_prefect")
def test_garbage_is_looked_for_again_after_an_import_that_failed() -> None:
    """An error of the import goes on, with the search on."""
    with pytest.raises(ImportError), importing():
        raise ImportError("not installed")
    assert gc.isenabled()


def test_a_process_that_has_imported_prefect_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing more to import, and its garbage is still to be found."""
    monkeypatch.setitem(sys.modules, "prefect", sys)
    before = gc.get_freeze_count()
    with importing():
        assert gc.isenabled()
    assert gc.get_freeze_count() == before
