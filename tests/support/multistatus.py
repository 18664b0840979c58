"""Multi-Status documents, as WebDAV servers write them."""

from __future__ import annotations

from xml.sax.saxutils import escape


def file(href: str, size: int = 1, etag: str = '"1"', modified: str = "Mon, 05 Jan 2026 10:00:00 GMT") -> str:
    """Return the response of a file."""
    return (
        f"<d:response><d:href>{escape(href)}</d:href><d:propstat><d:prop><d:resourcetype/><d:getcontentlength>{size}"
        f"</d:getcontentlength><d:getetag>{escape(etag)}</d:getetag><d:getlastmodified>{modified}</d:getlastmodified>"
        "</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )


def folder(href: str) -> str:
    """Return the response of a folder, with a property that it has not."""
    return (
        f"<d:response><d:href>{escape(href)}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/>"
        "</d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop>"
        "<d:getcontentlength/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
    )


def failed(href: str, status: str) -> str:
    """Return the response of a resource that the server does not describe."""
    return (
        f"<d:response><d:href>{escape(href)}</d:href><d:status>HTTP/1.1 {status}</d:status>"
        "<d:responsedescription>It is so.</d:responsedescription></d:response>"
    )


def multistatus(*responses: str) -> bytes:
    """Return the document of responses."""
    return f'<?xml version="1.0"?><d:multistatus xmlns:d="DAV:">{"".join(responses)}</d:multistatus>'.encode()
