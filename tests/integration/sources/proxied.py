"""Places behind a proxy, which causes the faults of the contract between a source and its server."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from tests.integration.faults import FaultProxy
from tests.integration.mail_proxy import MailProxy
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


class RelayedPlace(Place):
    """A place that a source reaches through a `MailProxy`, which cuts connections; its items are not removed by name.

    Attributes:
        reconnects: How many connections the source makes at least after one that was cut.
    """

    reconnects: ClassVar[int] = 1
    proxy: MailProxy

    @abstractmethod
    def cuts(self, fault: Fault) -> list[int]:
        """Return after how many bytes the next connections are cut, for ``listing`` or ``item``."""

    @abstractmethod
    def allow(self, *, allowed: bool) -> None:
        """Have the server accept the source's credentials, or refuse them."""

    def remove(self, name: str) -> None:
        """Nothing is removed by name."""
        raise NotImplementedError(name)

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[None]:
        """Cause a fault between the client and the server, or take away the right to log in."""
        before = self.proxy.connections
        if fault in ("listing", "item"):
            self.proxy.cut_after = self.cuts(fault)
        elif fault == "hang":
            self.proxy.hangs_after = 60_000
        elif fault == "credentials":
            self.allow(allowed=False)
            self.proxy.cut_all()
        else:
            self.proxy.is_down = True
            self.proxy.cut_all()
        try:
            yield
            assert fault not in ("listing", "item") or self.proxy.connections >= before + self.reconnects
            assert fault != "hang" or self.proxy.is_hanging.is_set()
        finally:
            self.proxy.is_down, self.proxy.hangs_after = False, None
            if fault == "credentials":
                self.allow(allowed=True)
            self.proxy.cut_all()
