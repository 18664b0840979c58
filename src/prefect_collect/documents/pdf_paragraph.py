"""Paragraphs of one style: ReportLab parses each text as markup, and breaks its lines three times for one look."""

from __future__ import annotations

import html
from typing import Any

from reportlab.platypus import Paragraph
from reportlab.platypus.paragraph import cleanBlockQuotedText


class PlainParagraph(Paragraph):  # type: ignore[misc]  # ReportLab has no types
    """A paragraph of one piece, whose lines are broken anew only for another width."""

    _broken: tuple[float, tuple[float, float]] | None = None

    def wrap(self, availWidth: float, availHeight: float) -> tuple[float, float]:  # noqa: N803
        """Break the lines, and return the width and the height."""
        if self._broken is None or self._broken[0] != availWidth or not hasattr(self, "blPara"):
            self._broken = availWidth, super().wrap(availWidth, availHeight)
        return self._broken[1]


class PlainText:
    """Makes paragraphs in one style."""

    def __init__(self, style: Any) -> None:
        self._style = style
        [self._piece] = Paragraph("x", style).frags

    def paragraph(self, text: str) -> Paragraph:
        """Return the paragraph of a text; ReportLab parses one with characters of markup, which is several pieces."""
        marked = html.escape(text, quote=False)
        cleaned = cleanBlockQuotedText(marked)
        if marked != text or not cleaned:
            return Paragraph(marked, self._style)
        return PlainParagraph(cleaned, self._style, frags=[self._piece.clone(text=cleaned)])
