"""Reading pages of a listing of Azure Blob Storage: a proven page or a SourceError; and which keys are paths."""

from __future__ import annotations

import pytest

from prefect_collect.connectors.buckets.page import Entry, Page
from prefect_collect.connectors.object_store._azure_page import marker_in, read_azure_page
from prefect_collect.errors import SourceError


def blob(name: str, properties: str = "<Content-Length>3</Content-Length>", encoded: str = "") -> str:
    """Return a blob as Azure lists it."""
    return f"<Blob><Name{encoded}>{name}</Name><Properties>{properties}</Properties></Blob>"


PAGE = (
    '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://x/" ContainerName="box">'
    "<Prefix>p/</Prefix><Blobs>"
    + blob("p/", "<Content-Length>0</Content-Length><Etag>0x1</Etag>")
    + blob(
        "p/a//b",
        "<Creation-Time>Sun, 29 Nov 2026 01:02:03 GMT</Creation-Time>"
        "<Last-Modified>Mon, 30 Nov 2026 14:11:09 GMT</Last-Modified>",
    )
    + blob("p/n%01l", "<Creation-Time>once</Creation-Time><Content-Length>3</Content-Length>", ' Encoded="true"')
    + blob("p/folder", "<ResourceType>directory</ResourceType>")
    + "</Blobs><NextMarker>more</NextMarker></EnumerationResults>"
)


def read(body: str) -> Page:
    """Read a body as a page."""
    return read_azure_page(body.encode(), "box", "p/", "az://box/p/")


def test_a_page() -> None:
    """Names are those of the blobs, what is not stated is None, and folders of a namespace are left out."""
    assert read(PAGE) == Page(
        [
            Entry(b"p/", 0, "0x1", None),
            Entry(b"p/a//b", None, None, "2026-11-30T14:11:09+00:00", created="2026-11-29T01:02:03+00:00"),
            Entry(b"p/n\x01l", 3, None, None),
        ],
        "more",
        None,
    )
    assert read(PAGE.replace("more", "")).token is None


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (PAGE, "", "it is empty"),
        (PAGE, "<html><body>Sign in</body></html>", "is <html>"),
        ("</EnumerationResults>", "", "not XML, or was cut off"),
        ("<NextMarker>more</NextMarker>", "", "NextMarker"),
        ("<Blobs>", "<Blobs/><Blobs>", "no list of blobs"),
        ('ContainerName="box"', 'ContainerName="other"', "of the container other"),
        ("<Blobs>", "<Blobs><BlobPrefix><Name>p/x/</Name></BlobPrefix>", "leaves names out"),
        ("<Name>p/</Name>", "<Name>q</Name>", "outside of the prefix, 'q'"),
        ("<Name>p/</Name>", "", "without a name"),
    ],
)
def test_an_answer_that_is_no_page(old: str, new: str, why: str) -> None:
    """The listing fails, with what is wrong."""
    assert old in PAGE
    with pytest.raises(SourceError, match=why) as caught:
        read(PAGE.replace(old, new))
    assert caught.value.code == "enumeration_failed"


def test_a_marker_before_the_page_is_read() -> None:
    """It is what the page turns out to have; none, if there are two, or the last page's."""
    assert marker_in(PAGE.replace("more", "a&amp;b").encode()) == "a&b"
    assert marker_in(PAGE.replace("more", "").encode()) is None
    assert marker_in((PAGE + PAGE).encode()) is None
