"""A chain of custody document as PDF: the same bytes for the same account and the same version of ReportLab.

The fonts are parts of DejaVu Sans, in the folder ``fonts``, and all are embedded, as courts ask: no package on PyPI
with such fonts is maintained, and fonts of the system would make other bytes on another machine. They have the Latin,
Greek and Cyrillic letters. Other characters are shown as escapes, as ``\\u4f60``, and the HTML beside has them: Arabic
and Hebrew need shaping, and fonts of Chinese, Japanese and Korean have 10 MB and more. Streams are not compressed: the
output of a compressor depends on its version too. The document's date is the end of the attempt, and its id is computed
from what it says.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from prefect_collect.documents.account import account_bytes
from prefect_collect.documents.page import Block, page_of, utc_of
from prefect_collect.escaping import one_line

_FOLDER: Final = os.path.join(os.path.dirname(__file__), "fonts")
_FONTS: Final = {"DejaVu": "DejaVuSans.ttf", "DejaVuBd": "DejaVuSans-Bold.ttf"}
_WIDTH: Final = 174.0
_HEIGHT: Final = 267.0
"""The width and the height of the text in millimetres."""

_LONGEST: Final = 700
"""The most characters of a cell, so that a row fits on a page, also when escapes make a text ten times longer."""

_ESCAPED: Final = (
    "Characters that the font of this PDF lacks are shown as escapes (\\u and the number of the character); the HTML "
    "document beside it shows them as they are."
)


def pdf_of(account: Mapping[str, Any]) -> bytes:
    """Return the document of the account as PDF.

    The last ones are kept: a package is often verified in the process that has made it.
    """
    return _pdf_of(account_bytes(account))


@lru_cache(maxsize=4)
def _pdf_of(data: bytes) -> bytes:
    account: Mapping[str, Any] = json.loads(data)
    # ReportLab is imported only where a document is made: it takes a tenth of a second.
    from reportlab.pdfgen.canvas import Canvas
    from reportlab.platypus import BaseDocTemplate, Frame, KeepInFrame, PageBreak, PageTemplate

    written = _Writer()
    page = page_of(account)
    story: list[Any] = [
        written.paragraph(page.title, "title"),
        written.paragraph(page.subtitle, "about"),
    ]
    story += [part for block in page.first for part in written.block(block)]
    later: list[Any] = [written.paragraph("Appendix", "title")]
    later += [part for block in page.appendix for part in written.block(block)]
    if written.escaped:
        later.append(written.paragraph(_ESCAPED, "note"))
    out = io.BytesIO()
    ended = utc_of(account["result"]["ended"]) or datetime.min

    def canvas(*arguments: Any, **named: Any) -> Any:
        made = Canvas(*arguments, **named)
        made.setDateFormatter(lambda *_: f"D:{ended.year:04}{ended:%m%d%H%M%S}Z")
        # ReportLab seeds the id with its own time, which is fixed, but is another one if SOURCE_DATE_EPOCH is set.
        made._doc.signature = hashlib.md5(data, usedforsecurity=False)
        return made

    millimetre = 72 / 25.4
    document = BaseDocTemplate(
        out, pagesize=(210 * millimetre, 297 * millimetre), title=one_line(page.title), author="prefect-collect",
        subject=one_line(page.subtitle), lang="en", invariant=1, pageCompression=0, initialFontName="DejaVu",
    )  # fmt: skip
    frame = Frame(18 * millimetre, 16 * millimetre, _WIDTH * millimetre, _HEIGHT * millimetre, 0, 0, 0, 0)
    footer = written.plain(f"Chain of custody, {account['job']['kind']} {account['job']['id']}")

    def foot(canvas: Any, _document: Any) -> None:
        canvas.setFont("DejaVu", 7)
        canvas.drawString(18 * millimetre, 9 * millimetre, footer)
        canvas.drawRightString(192 * millimetre, 9 * millimetre, f"Page {canvas.getPageNumber()}")

    document.addPageTemplates([PageTemplate("page", [frame], onPage=foot)])
    # However long its texts are, the first part is one page: it shrinks, if it must.
    whole = KeepInFrame(_WIDTH * millimetre, _HEIGHT * millimetre, story, mode="shrink")
    document.build([whole, PageBreak(), *later], canvasmaker=canvas)
    return out.getvalue()


class _Writer:
    """Makes ReportLab's parts of a document; `escaped` tells whether any character was not in the font."""

    def __init__(self) -> None:
        from reportlab.lib.colors import HexColor
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont

        from prefect_collect.documents.pdf_paragraph import PlainText

        for name, file in _FONTS.items():
            if name not in pdfmetrics.getRegisteredFontNames():
                pdfmetrics.registerFont(TTFont(name, os.path.join(_FOLDER, file)))
        known = [set(pdfmetrics.getFont(name).face.charToGlyph) for name in _FONTS]
        self._known = known[0] & known[1]
        self._lines, self._shade = HexColor(0x999999), HexColor(0xEEEEEE)
        self.escaped = False
        base = ParagraphStyle(
            "cell", fontName="DejaVu", bulletFontName="DejaVu", fontSize=8, leading=10.2, splitLongWords=1
        )
        styles = {
            "cell": base,
            "number": ParagraphStyle("number", base, alignment=2),
            "code": ParagraphStyle("code", base, fontSize=6.9),
            "head": ParagraphStyle("head", base, fontName="DejaVuBd"),
            "note": ParagraphStyle("note", base, spaceBefore=2),
            "title": ParagraphStyle("title", base, fontName="DejaVuBd", fontSize=14, leading=18),
            "about": ParagraphStyle("about", base, fontSize=9, leading=12, spaceAfter=2, textColor=HexColor(0x444444)),
            "section": ParagraphStyle(
                "section",
                base,
                fontName="DejaVuBd",
                fontSize=9.5,
                leading=12,
                spaceBefore=7,
                spaceAfter=2,
                keepWithNext=1,
            ),
        }
        self._texts = {name: PlainText(style) for name, style in styles.items()}

    def plain(self, value: str) -> str:
        """Return the text with escapes for what the font lacks."""
        line = one_line(unicodedata.normalize("NFC", value))
        shown = "".join(one if ord(one) in self._known else one.encode("unicode_escape").decode() for one in line)
        self.escaped = self.escaped or shown != line
        return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"

    def paragraph(self, value: str, style: str) -> Any:
        """Return the text as a paragraph in the style of that name."""
        return self._texts[style].paragraph(self.plain(value))

    def block(self, block: Block) -> Iterator[Any]:
        """Yield the parts of a block."""
        from reportlab.platypus import Table

        yield self.paragraph(block.title, "section")
        if block.rows:
            head = [[self.paragraph(cell, "head") for cell in block.head]] if block.head else []
            rows = [[self._cell(block, at, cell) for at, cell in enumerate(row)] for row in block.rows]
            heights = [None, 30.0] if block.blank else None
            yield Table(
                head + rows, colWidths=[width * 72 / 25.4 for width in _widths(block)], rowHeights=heights,
                repeatRows=len(head), hAlign="LEFT", style=self._grid(bool(head)),
            )  # fmt: skip
        for note in block.notes:
            yield self.paragraph(note, "note")

    def _cell(self, block: Block, at: int, cell: str) -> Any:
        label = at == 0 and not block.head
        kind = "number" if at in block.numbers else "code" if at in block.codes else "head" if label else "cell"
        return self.paragraph(cell, kind)

    def _grid(self, has_head: bool) -> list[tuple[Any, ...]]:
        padding = [(f"{side}PADDING", (0, 0), (-1, -1), size) for side, size in _PADDING.items()]
        shade = [("BACKGROUND", (0, 0), (-1, 0), self._shade)] if has_head else []
        return [
            ("GRID", (0, 0), (-1, -1), 0.4, self._lines),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("FONTNAME", (0, 0), (-1, -1), "DejaVu"),
            *padding,
            *shade,
        ]


_PADDING: Final = {"LEFT": 3, "RIGHT": 3, "TOP": 1.5, "BOTTOM": 1.5}

_SHARES: Final[Mapping[str, Sequence[float]]] = {
    "Account of items": (16, 12, 14, 12, 12, 17, 17),
    "Exceptions by code": (14, 24, 10, 52),
    "All exceptions by code": (14, 24, 10, 52),
    "Attempts": (11, 28, 28, 33),
    "Custody log": (5, 22, 18, 18, 37),
    "Files and their hashes": (10, 31, 59),
    "Handed over": (25, 25, 20, 30),
}
"""The widths of the columns of each table with headings, in hundredths."""


def _widths(block: Block) -> list[float]:
    shares = _SHARES[block.title] if block.head else (30, 70)
    return [share * _WIDTH / sum(shares) for share in shares]
