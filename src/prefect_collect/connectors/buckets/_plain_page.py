"""The objects of a page of a listing in the form that servers send, read without a tree of its elements.

A tree takes more than twice the CPU. Its elements, six an object, also have Python look for garbage so often that this
costs as much as the whole rest of a listing in a process with many objects, as one that has imported Prefect.

A page in this form is UTF-8 without comments, CDATA sections and document type; its objects follow each other, their
elements are in the order that AWS documents, and the only escaped characters are the ETag's quotes. Every other page
is left to the reader of trees (`s3_page`), which finds the same in a page of this form.
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat

Stated = tuple[bytes, bytes, bytes, bytes, bytes]
"""An object as it stands in a page: all of it, its key, time, ETag (without quotes) and size."""

_PROLOG: Final = re.compile(rb"(?:<\?xml version=[\"']1\.0[\"'](?: encoding=[\"'](?i:utf-8)[\"'])? ?\?>\s*)?<L")
_TEXT: Final = rb"([^<&\r]*)"
_QUOTE: Final = rb"(?:&quot;|&#34;|\")?"
_OBJECT: Final = re.compile(
    rb"(<Contents>\s*<Key>" + _TEXT + rb"</Key>\s*<LastModified>" + _TEXT + rb"</LastModified>\s*"
    rb"<ETag>" + _QUOTE + rb"(?!W/)([^<&\r\"]+)" + _QUOTE + rb"</ETag>\s*"
    rb"(?:<ChecksumAlgorithm>[^<]*</ChecksumAlgorithm>\s*)*(?:<ChecksumType>[^<]*</ChecksumType>\s*)?"
    rb"<Size>" + _TEXT + rb"</Size>\s*"
    rb"(?:<Owner>\s*(?:<ID>[^<]*</ID>\s*)?(?:<DisplayName>[^<]*</DisplayName>\s*)?</Owner>\s*)?"
    rb"(?:<StorageClass>[^<]*</StorageClass>\s*)?</Contents>\s*)"
)


def plain_page(body: bytes) -> tuple[bytes, list[Stated]] | None:
    """Return the objects of a page in the usual form, and its document with one ``<Contents/>`` in the place of all.

    Return None for a page in another form, for one without objects, and for what is no well-formed document.
    """
    if b"<!" in body or body.count(b"<?") > 1 or not _PROLOG.match(body):
        return None
    start, last = body.find(b"<Contents>"), body.rfind(b"</Contents>")
    if not 0 < start < last:
        return None
    objects: list[Stated] = _OBJECT.findall(body, start)
    end = body.find(b"<", last + 1)
    if sum(len(stated[0]) for stated in objects) != end - start:
        return None
    try:
        expat.ParserCreate().Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):
        return None
    return body[:start] + b"<Contents/>" + body[end:], objects
