"""Places behind a `FaultProxy`, which causes the faults of the contract between a source and its server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from tests.integration.faults import FaultProxy
from tests.integration.sources.places import Fault, Place


class ProxiedPlace(Place):
    """A place that a source reaches through a proxy; without one, nothing of it breaks.

    Attributes:
        uncounted: Faults that are none of a request, so that the proxy does not count them.
    """

    uncounted: ClassVar[frozenset[Fault]] = frozenset({"restart"})
    proxy: FaultProxy | None

    def cause(self, fault: Fault, proxy: FaultProxy) -> None:
        """Cause a fault; what a listing and credentials are is the server's."""
        if fault == "item":
            proxy.truncate_next(path="/item")
        elif fault == "hang":
            proxy.hang_next(1_000, path="/hangs")
        elif fault == "restart":
            proxy.down()
        else:
            raise NotImplementedError(fault)

    def has_met_a_fault(self) -> bool:
        """Return whether the proxy caused a fault."""
        return self.proxy is not None and self.proxy.hits > 0

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Cause a fault between the source and the server."""
        proxy = self.proxy
        assert proxy is not None
        proxy.clear()
        self.cause(fault, proxy)
        try:
            yield
            assert fault in self.uncounted or proxy.hits
        finally:
            proxy.release()
            proxy.up()
            proxy.clear()
