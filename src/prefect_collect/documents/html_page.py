"""A chain of custody document as one HTML file: no script, nothing from the network, every text escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from prefect_collect.documents.page import Block, page_of
from prefect_collect.escaping import one_line

_STYLE: Final = """
@page { size: A4; margin: 18mm }
body { font: 10pt/1.4 "Liberation Sans", Arial, sans-serif; color: #111; max-width: 180mm; margin: 2em auto; }
h1 { font-size: 17pt; margin: 0 } .about { color: #444; margin: 0 0 1em; border-bottom: 2px solid #111 }
h2 { font-size: 11pt; margin: 1.1em 0 .3em } p { margin: .3em 0 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .15em .5em;
border: 1px solid #999; overflow-wrap: anywhere } th { background: #eee; font-weight: 600 }
.labels th { width: 30%; background: none; font-weight: 600 } .n { text-align: right; white-space: nowrap }
code { font: 8.5pt/1.4 "Liberation Mono", monospace; overflow-wrap: anywhere } .blank td { height: 3.2em }
.appendix { break-before: page; border-top: 2px solid #111; margin-top: 3em; padding-top: 1em }
tr { break-inside: avoid } h2 { break-after: avoid } @media print { body { margin: 0; max-width: none } }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def html_of(account: Mapping[str, Any]) -> bytes:
    """Return the document of the account, the same bytes for the same account."""
    page = page_of(account)
    body = [
        f"<h1>{_text(page.title)}</h1>",
        f'<p class="about">{_text(page.subtitle)}</p>',
        *(line for block in page.first for line in _block(block)),
        '<section class="appendix"><h1>Appendix</h1>',
        *(line for block in page.appendix for line in _block(block)),
        "</section>",
    ]
    head = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{_text(page.title)}</title><style>{_STYLE}</style></head><body>",
    ]
    return "\n".join([*head, *body, "</body></html>", ""]).encode()


def _text(value: str) -> str:
    return escape(one_line(value))


def _block(block: Block) -> Iterator[str]:
    yield f"<h2>{_text(block.title)}</h2>"
    if block.rows:
        kind = "blank" if block.blank else "grid" if block.head else "labels"
        yield f'<table class="{kind}">'
        if block.head:
            cells = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in block.head)
            yield f"<thead><tr>{cells}</tr></thead>"
        yield "<tbody>"
        for row in block.rows:
            yield f"<tr>{''.join(_cells(block, row))}</tr>"
        yield "</tbody></table>"
    for note in block.notes:
        yield f"<p>{_text(note)}</p>"


def _cells(block: Block, row: Sequence[str]) -> Iterator[str]:
    for at, cell in enumerate(row):
        shown = f"<code>{_text(cell)}</code>" if at in block.codes else f'<bdi dir="auto">{_text(cell)}</bdi>'
        if at in block.numbers:
            yield f'<td class="n">{_text(cell)}</td>'
        elif at == 0 and not block.head:
            yield f'<th scope="row">{_text(cell)}</th>'
        else:
            yield f"<td>{shown}</td>"
