"""Log in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from prefect_collect.console.access import SESSION_SECONDS, Access
from prefect_collect.console.guard import Place, address_of, cookie_name, cookie_of
from prefect_collect.console.pages import Pages


def login_routes(access: Access, place: Place, pages: Pages) -> APIRouter:
    """Return the routes by which a session is opened and ended."""
    routes = APIRouter(include_in_schema=False)

    def opened(request: Request, token: str, then: str) -> Response:
        address = address_of(request.scope)
        key = access.open(token, address)
        if key is None:
            limited = access.is_limited(address)
            why = "Too many tokens were refused; wait a minute." if limited else "This token is not accepted."
            return pages.answer(request, "login.html", status=429 if limited else 403, message=why, next=then)
        answer = RedirectResponse(f"{place.root_path}{_own_page(then)}", 303)
        answer.set_cookie(
            cookie_name(request.headers), key, max_age=int(SESSION_SECONDS), path=place.root_path or "/",
            secure=place.secure, httponly=True, samesite="lax",
        )  # fmt: skip
        return answer

    @routes.get("/login")
    def login_page(request: Request, token: str = "", next: Annotated[str, Query()] = "/") -> Response:
        """Show the login page; open a session if the address has a token, as the link that the console prints."""
        if token:
            return opened(request, token, next)
        if request.state.session is not None:
            return RedirectResponse(f"{place.root_path}{_own_page(next)}", 303)
        return pages.answer(request, "login.html", message="", next=next)

    @routes.post("/login")
    def login(request: Request, token: Annotated[str, Form()], next: Annotated[str, Form()] = "/") -> Response:
        """Open a session."""
        return opened(request, token, next)

    @routes.post("/logout")
    def logout(request: Request) -> Response:
        """End the session."""
        key = cookie_of(request.headers)
        if key is not None:
            access.close(key)
        answer = PlainTextResponse("", headers={"HX-Redirect": f"{place.root_path}/login"})
        answer.delete_cookie(cookie_name(request.headers), path=place.root_path or "/")
        return answer

    return routes


def _own_page(path: str) -> str:
    """Return the path if it is one of the console's, else "/": a link must not lead to another site."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"
