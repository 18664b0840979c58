"""The parser of Multi-Status documents, and the rules of the addresses in them."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.connectors.webdav.multistatus import BadDocument, Multistatus, Resource
from prefect_collect.connectors.webdav.root import BadHref, Root, segments_of
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from tests.examples import examples
from tests.support.multistatus import failed, file, folder, multistatus

ROOT = Root("https://host:8443", "host", (b"remote.php", b"dav"), "webdavs://host:8443/remote.php/dav")
NAMES = (
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=12)
    | st.text("aZ0._~-", min_size=1, max_size=12)
).filter(lambda name: name not in (".", ".."))


def parsed(document: bytes, pieces: int = 1) -> list[Resource]:
    """Return the resources of a document that arrives in pieces."""
    found: list[Resource] = []
    parser = Multistatus(found.append)
    size = max(1, -(-len(document) // pieces))
    for at in range(0, len(document), size):
        parser.feed(document[at : at + size])
    parser.close()
    return found


def test_what_is_said_of_resources() -> None:
    """Type, size, time and ETag are those of the properties that are there; failures keep their status and words."""
    found = parsed(multistatus(folder("/a/"), file("/a/b", 7, 'W/"x"'), failed("/a/c", "403 Forbidden")))
    at = datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert found == [
        Resource("/a/", is_folder=True),
        Resource("/a/b", is_folder=False, size=7, modified=at, etag="W/x"),
        Resource("/a/c", status=403, said="It is so."),
    ]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<d:resourcetype><d:collection/></d:resourcetype>", Resource("/a", is_folder=True)),
        ("<resourcetype xmlns='other:'><collection/></resourcetype>", Resource("/a")),
        ("<d:resourcetype/><d:getcontentlength>-1</d:getcontentlength>", Resource("/a", is_folder=False)),
        ("<d:resourcetype/><d:getcontentlength>1e3</d:getcontentlength>", Resource("/a", is_folder=False)),
        ("<d:resourcetype/><d:getlastmodified>soon</d:getlastmodified>", Resource("/a", is_folder=False)),
        (
            "<d:resourcetype/><d:getlastmodified>2026-01-05T10:00:00+01:00</d:getlastmodified>",
            Resource("/a", is_folder=False, modified=datetime(2026, 1, 5, 9, tzinfo=UTC)),
        ),
        (
            "<d:resourcetype/><d:creationdate>2026-01-05T10:00:00.5+01:00</d:creationdate>",
            Resource("/a", is_folder=False, created=datetime(2026, 1, 5, 9, 0, 0, 500_000, tzinfo=UTC)),
        ),
        (
            "<d:resourcetype/><d:creationdate>Mon, 05 Jan 2026 10:00:00 GMT</d:creationdate>",
            Resource("/a", is_folder=False, created=datetime(2026, 1, 5, 10, tzinfo=UTC)),
        ),
        ("<d:resourcetype/><d:creationdate>2026-01-05T10:00:00</d:creationdate>", Resource("/a", is_folder=False)),
        ("<d:resourcetype/><d:creationdate>long ago</d:creationdate>", Resource("/a", is_folder=False)),
        (
            "<d:resourcetype/><d:getlastmodified>Wed, 31 Dec 1969 23:59:59 GMT</d:getlastmodified>",
            Resource("/a", is_folder=False, modified=datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ),
        (
            "<d:resourcetype/><d:getlastmodified>9999-12-31T23:59:59.5-14:00</d:getlastmodified>",
            Resource("/a", is_folder=False),
        ),
        ("<d:resourcetype/><d:getetag>bare</d:getetag>", Resource("/a", is_folder=False, etag="bare")),
        ("<d:resourcetype/><x xmlns='y:'><getetag>z</getetag></x>", Resource("/a", is_folder=False)),
        ("<d:resourcetype/><d:getetag>a<d:x/>b</d:getetag>", Resource("/a", is_folder=False)),
        ("<d:resourcetype/><d:getetag><d:href>/b</d:href></d:getetag>", Resource("/a", is_folder=False)),
        ("<d:resourcetype><x><d:collection/></x></d:resourcetype><d:collection/>", Resource("/a", is_folder=False)),
        (
            "<d:href>/b</d:href><d:resourcetype/><d:status>HTTP/1.1 404 Not Found</d:status>",
            Resource("/a", is_folder=False),
        ),
        ("<resourcetype/><getetag>z</getetag>", Resource("/a", is_folder=False, etag="z")),
    ],
)
def test_properties(inside: str, expected: Resource) -> None:
    """A value that cannot be what it should be is none; other namespaces and places mean other things."""
    response = f"<d:response><d:href>/a</d:href><d:propstat><d:prop>{inside}</d:prop></d:propstat></d:response>"
    assert parsed(multistatus(response)) == [expected]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><multistatus xmlns="DAV:"/>', "document type"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><multistatus xmlns="DAV:"/>', "document type"),
        (b'<multistatus xmlns="DAV:">&x;</multistatus>', "no whole XML"),
        (b'<multistatus xmlns="other:"/>', "not <multistatus>"),
        (b'<multistatus xmlns="DAV:"><response></response></multistatus>', "no <href>"),
        (b'<multistatus xmlns="DAV:">' + b"<a>" * 100, "deep"),
        (multistatus(f"<d:response><d:href>{'x' * 70_000}</d:href></d:response>"), "more than"),
        (multistatus(file("/a")) + b"<more/>", "no whole XML"),
        (b"", "no whole XML"),
    ],
)
def test_documents_that_are_refused(document: bytes, said: str) -> None:
    """Document types and entities, texts and depths without an end, and other documents are refused."""
    with pytest.raises(BadDocument, match=said):
        parsed(document)


@given(st.lists(st.tuples(NAMES, st.integers(0, 10**18 - 1)), max_size=8), st.integers(1, 40), st.data())
@settings(max_examples=examples(60))
def test_documents_in_pieces(entries: list[tuple[str, int]], pieces: int, data: st.DataObject) -> None:
    """A document says the same however it is cut on its way; a part of it is never whole."""
    document = multistatus(*(file(f"/top/{quote(name, safe='')}", size) for name, size in entries))
    found = parsed(document, pieces)
    assert [(resource.href, resource.size) for resource in found] == [
        (f"/top/{quote(name, safe='')}", size) for name, size in entries
    ]
    with pytest.raises(BadDocument):
        parsed(document[: data.draw(st.integers(0, len(document) - 1))])


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (b"", ""), (b"a/b-1.txt", "a/b-1.txt"), (b"a/", "a/"), (b"a//b", "a/b"), (b"a b/c", "a%20b/c"),
        (b"a%2Fb", "a%252Fb"), (b"a?b#c", "a%3Fb%23c"), ("é".encode(), "%C3%A9"), (b"a\n", "a%0A"),
    ],
)  # fmt: skip
def test_paths_as_they_are_sent(path: bytes, sent: str) -> None:
    """The URL of a path has its names below the root, escaped where they must be."""
    assert ROOT.url(path) == f"https://host:8443/remote.php/dav/{sent}"


@given(st.lists(NAMES, min_size=1, max_size=5), st.booleans())
@settings(max_examples=examples(100))
def test_names_there_and_back(names: list[str], is_folder: bool) -> None:
    """From any path the URL leads back to the same names, and the address in a listing to the same item."""
    path = "/".join(names).encode()
    url = ROOT.url(path + b"/" if is_folder else path)
    above, _, last = path.rpartition(b"/")
    within = above + b"/" if above else b""
    assert ROOT.name_in(within, url) == last
    assert ROOT.name_in(within, url.removeprefix("https://host:8443")) == last
    assert ROOT.relative(ROOT.listed(path, Resource())) == path


@given(st.text(max_size=60))
@settings(max_examples=examples(300))
def test_any_address(href: str) -> None:
    """Whatever a server writes as an address leads to a name in the folder, to the folder itself, or nowhere."""
    try:
        name = ROOT.name_in(b"a/", href)
    except BadHref:
        return
    assert name is None or (name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name)


@given(st.text(max_size=40))
@settings(max_examples=examples(200))
def test_any_id(item_id: str) -> None:
    """An id that did not come from a listing leads to no URL outside of the root."""
    try:
        url = ROOT.url(ROOT.relative(Item(item_id, "")))
    except (SourceError, UnicodeEncodeError):
        return
    assert url.startswith("https://host:8443/remote.php/dav/")
    assert segments_of(url.removeprefix("https://host:8443"))[:2] == ROOT.names
