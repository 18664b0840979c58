"""A PDF that may do something by itself is told from one that only shows something."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_collect.console.pdf_actions import may_act
from prefect_collect.console.previews import preview_of_bytes
from tests.examples import examples

SCRIPT = b"<< /S /JavaScript /JS (app.alert\\(1\\)) >>"
PAGE = b"%PDF-1.7\n3 0 obj\n<< /Type /Page /Annots [<< /Subtype /Link /A << /S /URI /URI (http://x) >> >>] >>\nendobj\n"


def object_stream(content: bytes, dictionary: bytes = b"/Type /ObjStm /Filter /FlateDecode") -> bytes:
    """Return a PDF with an object stream of that content."""
    return PAGE + b"5 0 obj\n<< " + dictionary + b" >>\nstream\r\n" + zlib.compress(content) + b"\nendstream\nendobj\n"


@pytest.mark.parametrize(
    "pdf",
    [
        PAGE,
        PAGE + b"1 0 obj\n<< /Type /Catalog /OpenAction [3 0 R /FitH null] >>\nendobj\n",
        PAGE + b"(a text about JavaScript) /JSON",
        object_stream(b"1 0 << /Type /Catalog >>"),
        object_stream(b"1 0 << >>", b"/Filter[/FlateDecode]/Type/ObjStm/N 1/First 4/Length 9"),
        object_stream(b"1 0 << >>")
        + b"6 0 obj\n<< /Type /XRef /Filter /FlateDecode /DecodeParms << /Predictor 12 >> >>\nstream\nx\nendstream",
    ],
)
def test_pdfs_that_only_show_something(pdf: bytes) -> None:
    """Links that wait for a click, a first page to open, and object streams without actions are shown."""
    assert not may_act(pdf)
    assert preview_of_bytes(pdf).media_type == "application/pdf"


@pytest.mark.parametrize(
    "pdf",
    [
        PAGE + b"1 0 obj\n<< /Type /Catalog /OpenAction " + SCRIPT + b" >>",
        PAGE + b"<< /S /J#61vaScript >>",
        PAGE + b"<< /AA << /O << /S /SubmitForm >> >> >>",
        PAGE + b"<< /AcroForm << /XFA 7 0 R >> >>",
        object_stream(b"1 0 " + SCRIPT),
        object_stream(b"1 0 " + SCRIPT.replace(b"JS", b"#4a#53").replace(b"Java", b"#4aava")),
        object_stream(b"1 0 " + SCRIPT, b"/T#79pe /Obj#53tm /Filter /FlateDecode"),
        object_stream(b"1 0 << >>", b"/Type /ObjStm /Filter [/ASCIIHexDecode /FlateDecode]"),
        object_stream(b"1 0 << >>", b"/Type /ObjStm /Filter /FlateDecode /DecodeParms 9 0 R"),
        object_stream(b"1 0 << >>", b"/Type 8 0 R /Filter /FlateDecode") + b"8 0 obj\n/ObjStm\nendobj\n",
        object_stream(b"1 0 << >>", b"/Type%\n/ObjStm /Filter /FlateDecode"),
        object_stream(b"1 0 << >>", b"/Type /ObjStm /DecodeParms 9 0 R /X (1 0 obj << ) /Filter /FlateDecode"),
        object_stream(b"1 0 << >>", b"/Type /ObjStm /X (stream) /Filter /FlateDecode"),
        object_stream(b"1 0 << >>") + b"trailer << /Encrypt 9 0 R >>",
        object_stream(b"1 0 << >>")[:-30],
        object_stream(b" " * (65 << 20)),
        PAGE + b"#41" * 100_000,
    ],
)
def test_pdfs_that_may_act(pdf: bytes) -> None:
    """Scripts, forms that are sent, and what may hide them are not sent to the browser's viewer; a text says why."""
    assert may_act(pdf)
    preview = preview_of_bytes(pdf)
    assert preview.media_type == "text/plain; charset=utf-8"
    assert b"Download it" in preview.content


@given(pdf=st.binary(max_size=500))
@settings(max_examples=examples(100))
def test_any_bytes_are_looked_at(pdf: bytes) -> None:
    """Whatever the bytes are, there is an answer."""
    assert may_act(b"%PDF-1.7 ObjStm" + pdf) in (True, False)
