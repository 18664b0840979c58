"""The guard before every route: Host, Origin, session, role and CSRF token are checked; every answer is made safe."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prefect_collect.console.access import FAILURE_SECONDS, Access, Session
from prefect_collect.console.pace import PAUSE_HEADER, POLL_HEADER, Pace
from prefect_collect.console.roles import Role
from prefect_collect.job_folder.acting import acting_as

MOST_BYTES: Final = 4 << 20
"""The most bytes of a request: a list of patterns may be long."""

_MOST_UNKNOWN: Final = 64 << 10
"""The most bytes of a request without a session, which logs in."""

COOKIE: Final = "prefect-collect-console"
"""The beginning of the cookie's name: cookies are of a host and not of a port, where another console may listen."""
CSRF_HEADER: Final = "X-CSRF-Token"

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_PUBLIC: Final = re.compile(r"/(login|static/[\w./-]+|health)\Z", re.ASCII)

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With "no-referrer", browsers send the Origin "null" with the form that logs in.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""The headers of every answer; a route may set its own value of one of them."""


@dataclass(frozen=True)
class Proxy:
    """A reverse proxy that logs users in, and names them in a header.

    Attributes:
        header: The header's name.
        addresses: The addresses from which the header is believed.
        role: The role of its users.
    """

    header: str
    addresses: frozenset[str]
    role: Role


@dataclass(frozen=True)
class Place:
    """Where the console is reached.

    Attributes:
        hosts: The values of the header Host that are accepted, without the port.
        root_path: The path below which a reverse proxy shows the console; "" or "/console".
        proxy: The reverse proxy that logs users in, if there is one.
    """

    hosts: frozenset[str]
    root_path: str = ""
    proxy: Proxy | None = None
    secure: bool = field(default=False)
    """True if browsers reach the console by HTTPS, so that its cookie is sent by HTTPS only."""


class Guard:
    """The ASGI middleware that lets a request through to the routes, or answers it itself."""

    def __init__(self, app: ASGIApp, *, access: Access, place: Place) -> None:
        self._app, self._access, self._place, self._pace = app, access, place, Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _below_root(scope, self._place.root_path)
        headers = Headers(scope=scope)

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    answered.setdefault(name, value)
                if POLL_HEADER in headers:
                    answered[PAUSE_HEADER] = f"{self._pace.pause():.1f}"
            await send(message)

        session = self._session(scope, headers)
        refused = self._refusal(scope, headers, session)
        if refused is not None:
            await refused(scope, receive, safely)
            return
        scope.setdefault("state", {})["session"] = session
        with acting_as(None if session is None else session.user):
            await self._app(scope, receive, safely)

    def _refusal(self, scope: Scope, headers: Headers, session: Session | None) -> Response | None:
        method, path = scope["method"], _path(scope)
        if _name(headers.get("host", "")) not in self._place.hosts:
            return _answer(path, "This address is not one of the console's; see --host-name.", 400)
        if method not in _SAFE and not _is_own_page(headers):
            return _answer(path, "The request comes from another site, and was not carried out.", 403)
        if _is_embedded(headers):
            return _answer(path, "Another site embeds or asks for this; open it from a page of the console.", 403)
        if _size(headers) > (_MOST_UNKNOWN if session is None else MOST_BYTES):
            return _answer(path, "The request is too long, or does not state its length.", 413)
        if _PUBLIC.match(path):
            return None
        if session is None:
            return self._to_login(scope, headers)
        if method not in _SAFE and path != "/logout":
            if not session.may_operate:
                return _answer(path, "Your role is 'view': you may look at jobs, and not change them.", 403)
            if _bearer(headers) is None and not hmac.compare_digest(
                headers.get(CSRF_HEADER, "").encode(), session.csrf.encode()
            ):
                return _answer(path, "The page is too old; load it again.", 403)
        return None

    def _to_login(self, scope: Scope, headers: Headers) -> Response:
        if is_api(scope) or _bearer(headers) is not None:
            if _bearer(headers) is not None and self._access.is_limited(address_of(scope)):
                detail = "Too many tokens were refused, so that none is looked at; wait a minute."
                return JSONResponse({"detail": detail}, 429, {"Retry-After": str(round(FAILURE_SECONDS))})
            return JSONResponse(
                {"detail": "Send a token: Authorization: Bearer …"}, 401, {"WWW-Authenticate": "Bearer"}
            )
        login = f"{self._place.root_path}/login"
        if headers.get("HX-Request"):
            shown = self._shown_page(headers)
            back = f"?next={quote(shown, safe='/')}" if shown else ""
            return Response(status_code=401, headers={"HX-Redirect": f"{login}{back}"})
        if scope["method"] not in _SAFE:
            return PlainTextResponse("Log in first.\n", 401)
        return RedirectResponse(f"{login}?next={quote(_wanted(scope), safe='/')}", 303)

    def _shown_page(self, headers: Headers) -> str:
        """Return path and query of the console's page whose htmx asks for a part; "" if it is not known."""
        shown, root = _split(headers.get("HX-Current-URL", "")), self._place.root_path
        if shown.netloc.lower() != headers.get("host", "").lower() or not shown.path.startswith(f"{root}/"):
            return ""
        return shown._replace(scheme="", netloc="", path=shown.path.removeprefix(root), fragment="").geturl()

    def _session(self, scope: Scope, headers: Headers) -> Session | None:
        if (proxied := self._proxied(scope, headers)) is not None:
            return proxied
        token = _bearer(headers)
        if token is not None:
            found = self._access.grant(token, address_of(scope))
            return None if found is None else Session(found.user, found.role, "")
        key = cookie_of(headers)
        return None if key is None else self._access.session(key)

    def _proxied(self, scope: Scope, headers: Headers) -> Session | None:
        proxy, peer = self._place.proxy, scope.get("client")
        if proxy is None or peer is None or peer[0] not in proxy.addresses:
            return None
        # Two headers are the proxy's and the client's own, which the proxy should have removed.
        named = headers.getlist(proxy.header)
        user = named[0].strip() if len(named) == 1 else ""
        # The browser's session is the proxy's, so the proxy's own protection against CSRF is the Origin check above.
        return Session(user, proxy.role, headers.get(CSRF_HEADER, "")) if user else None


def _answer(path: str, message: str, status: int) -> Response:
    """Return a refusal: JSON for the API, else text."""
    if path.startswith("/api/"):
        return JSONResponse({"detail": message}, status)
    return PlainTextResponse(f"{message}\n", status)


def address_of(scope: Scope) -> str:
    """Return the address from which a request came, which is a reverse proxy's if there is one."""
    return str((scope.get("client") or ("",))[0])


def cookie_name(headers: Headers) -> str:
    """Return the name of the session's cookie at the host and port that the browser asks."""
    _, colon, port = headers.get("host", "").rpartition(":")
    return f"{COOKIE}-{port}" if colon and port.isascii() and port.isdigit() else COOKIE


def cookie_of(headers: Headers) -> str | None:
    """Return the secret of the session that a request's cookie names; None if it has none."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(cookie_name(headers))
    except CookieError:
        return None
    return None if found is None else found.value


def is_api(scope: Scope) -> bool:
    """Return whether a request is one of the API, whose answers are JSON, refusals too."""
    return _path(scope).startswith("/api/")


def _size(headers: Headers) -> int:
    """Return the bytes that a request states its body has; more than any limit if it states none."""
    if "transfer-encoding" in headers:
        return MOST_BYTES + 1
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else MOST_BYTES + 1


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def _below_root(scope: Scope, root_path: str) -> Scope:
    """Return the scope of a request to a proxy that leaves the root path in the address, as if it had removed it.

    The server puts the root path before each path that it is asked for.
    """
    if not root_path or not scope["path"].startswith(f"{root_path}{root_path}/"):
        return scope
    raw = scope.get("raw_path") or b""
    return {**scope, "path": scope["path"].removeprefix(root_path), "raw_path": raw.removeprefix(root_path.encode())}


def _wanted(scope: Scope) -> str:
    """Return the path of a request below the root path, with its query."""
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{_path(scope)}{'?' if query else ''}{query}"


def _name(host: str) -> str:
    """Return the name in a Host header, without the port, in lower case."""
    return re.sub(r":\d*\Z", "", host).strip("[]").lower()


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _is_own_page(headers: Headers) -> bool:
    """Return whether a request comes from a page of the console, or from a program that is no browser."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None:
        return _split(origin).netloc.lower() == headers.get("host", "").lower()
    if site is not None:
        return site == "same-origin"
    return _bearer(headers) is not None


def _is_embedded(headers: Headers) -> bool:
    """Return whether a page of another site asks for something that it does not open as a page.

    Some answers enter a look into a custody log, and a browser that a proxy logs in sends its user with every request.
    """
    return (
        headers.get("sec-fetch-site") in ("cross-site", "same-site")
        and headers.get("sec-fetch-dest") != "document"
        and _bearer(headers) is None
    )


def _bearer(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
