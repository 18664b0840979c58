"""All pages that the console serves, found by its own routes, and what is looked for on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from importlib.resources import files
from itertools import product
from urllib.parse import urlsplit

from fastapi import FastAPI

_TEMPLATES = [one.read_text() for one in files("prefect_collect.console").joinpath("templates").iterdir()]
_TAGS = {tag for text in _TEMPLATES for tag in re.findall(r"<([a-z][a-z0-9]*)", text)}
_ATTRIBUTES = {name for text in _TEMPLATES for name in re.findall(r"[\s}]([a-zA-Z][a-zA-Z0-9-]*)(?==|[\s>{])", text)}
_ADDRESSES = {"href", "src", "action", "formaction", "data", "hx-get", "hx-post", "hx-delete", "hx-push-url"}
_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Control characters, characters without width, and those that turn the writing direction."""


def addresses(app: object, values: Mapping[str, list[object]]) -> list[str]:
    """Return the address of every GET route, with all values of its parameters.

    Raise KeyError for a parameter without values: a new page must be looked at too.
    """
    inner = getattr(app, "_app", app)
    assert isinstance(inner, FastAPI)
    return [
        path.format_map(dict(zip(names, chosen, strict=True)))
        for path in sorted(set(_paths(inner)))
        for names in [re.findall(r"\{(\w+)\}", path)]
        for chosen in product(*(values[name] for name in names))
    ]


def _paths(app: FastAPI) -> Iterator[str]:
    for route in app.routes:
        inner = getattr(route, "original_router", None)
        for one in [route] if inner is None else inner.routes:
            path = getattr(one, "path", None)
            if path and "GET" in (getattr(one, "methods", None) or {"GET"}):
                yield path


class Page(HTMLParser):
    """A page as a browser reads it.

    Attributes:
        text: All its text, with the values of its attributes.
        problems: The elements, attributes and addresses that no template of the console has made, and the characters
            that are not visible as themselves.
    """

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.problems = "", list[str]()
        self._in_script = False
        self.feed(content)
        self.close()
        self.problems += [f"character {one!r}" for one in sorted(set(_UNSEEN.findall(self.text)))]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at an element."""
        shown = f"<{tag} {attrs}>"
        if tag not in _TAGS:
            self.problems.append(shown)
        for name, value in attrs:
            self.text += f" {value or ''}"
            # html.parser lowers names: viewBox
            if name not in {known.lower() for known in _ATTRIBUTES} or name.startswith("on"):
                self.problems.append(f"{name} of {shown}")
            if name in _ADDRESSES and not _is_own(value or ""):
                self.problems.append(shown)
        self._in_script = tag == "script"
        if self._in_script and not (dict(attrs).get("src") or "").startswith("/static/"):
            self.problems.append(shown)

    def handle_data(self, data: str) -> None:
        """Read text."""
        self.text += f" {data}"
        if self._in_script and data.strip():
            self.problems.append(f"script {data}")

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        self._in_script = False

    def handle_comment(self, data: str) -> None:
        """Look at a comment: the templates have none."""
        self.problems.append(f"comment {data}")

    def handle_pi(self, data: str) -> None:
        """Look at a processing instruction: the templates have none."""
        self.problems.append(f"instruction {data}")

    def unknown_decl(self, data: str) -> None:
        """Look at a section: the templates have none."""
        self.problems.append(f"section {data}")


def _is_own(address: str) -> bool:
    if address in ("", "data:,") or address.startswith("#"):
        return True
    parts = urlsplit(address)
    path = re.fullmatch(r"/[\w/.-]*", parts.path, re.ASCII)
    return path is not None and not parts.scheme and not parts.netloc
