"""What the requests of one source share: limits, secrets, the pace, and the rules of redirects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from prefect_collect.connectors.errors import source_error
from prefect_collect.connectors.http.addresses import Guard, redirected, shares_secrets
from prefect_collect.connectors.http.engine import Limits
from prefect_collect.connectors.http.failures import status_error
from prefect_collect.connectors.http.pace import RETRY_AFTER, Pace, retry_after
from prefect_collect.errors import SourceError

WANTED: Final = frozenset(
    {
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"date",
        b"etag",
        b"last-modified",
        b"location",
        RETRY_AFTER,
    }
)
"""The response headers that are used; the others are ignored."""

REDIRECTS: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for.

    Attributes:
        url: The URL, as it is sent.
        place: Where that is, for messages, without secrets.
        secret: Header lines for its server alone, to which a redirect to another server does not lead them.
        plain: Header lines for every server.
    """

    url: str
    place: str
    secret: tuple[str, ...] = field(default=(), repr=False)
    plain: tuple[str, ...] = ()

    def lines(self, url: str) -> list[str]:
        """Return the header lines for a URL that a redirect may have led to."""
        lines = ["Accept-Encoding: identity", *self.plain]
        return [*lines, *self.secret] if not self.secret or shares_secrets(self.url, url) else lines


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer: its status and headers, and the URL that it came from after all redirects."""

    status: int
    headers: dict[bytes, str]
    url: str

    @property
    def stated_pause(self) -> float | None:
        """The seconds of Retry-After."""
        return retry_after(self.headers.get(RETRY_AFTER))


class Client:
    """The settings of a source's requests, which its threads share.

    Args:
        home: The limits of transfers, with the credentials, for URLs that share secrets with the target.
        other: The limits for other URLs; the same object if there are no credentials in them.
        guard: Judges addresses; None if every address is allowed.
        server: Names whose requests are counted together, in all processes (`Pace`).
    """

    def __init__(self, home: Limits, other: Limits, guard: Guard | None, server: str = "") -> None:
        self.home, self._other, self._guard = home, other, guard
        self.pace = Pace(server)

    def limits(self, target: Target, url: str) -> Limits:
        """Return the limits for a URL that the target, or a redirect of it, leads to."""
        return self.home if self.home is self._other or shares_secrets(target.url, url) else self._other

    def require_allowed(self, target: Target, url: str) -> None:
        """Raise SourceError (`address_refused`) if the URL names an address that must not be connected to."""
        if self._guard is not None and (self.home is self._other or not shares_secrets(target.url, url)):
            self._guard.require_allowed(url, target.place)

    def explained(self, error: SourceError, target: Target, url: str) -> SourceError:
        """Return what an error means, if it is that the address was refused."""
        return error if self._guard is None else self._guard.explained(error, url, target.place)

    def followed(self, target: Target, head: Head, hops: int) -> str:
        """Return the URL that a redirect leads to. Raise SourceError if it is against the rules."""
        url = redirected(head.url, head.headers.get(b"location"), hops, target.place)
        self.require_allowed(target, url)
        return url

    def ask_again(self, head: Head) -> bool:
        """Count an answer at the pace; return whether the request is to be repeated after "too many requests"."""
        return self.pace.answered(head.status, head.headers)


def refusal(head: Head, target: Target, body: bytes = b"") -> SourceError:
    """Return the error of an answer that is no success."""
    if head.status in REDIRECTS:
        return source_error("source_error", f"The server redirects (HTTP {head.status})", target.place, head.status)
    return status_error(head.status, target.place, body, stated=head.stated_pause)
