"""Names as an attacker, or an accident, would choose them: for Markdown, HTML, terminals and spreadsheets."""

from __future__ import annotations

from typing import Final

MARKER: Final = "evil"
"""Names that would become an element, an address or a script."""

NAMES: Final = [
    "[x](javascript:window.evil=1).txt",
    "<img src=x onerror=\"window.evil=1\">.png",
    "<script>window.evil=1</script>.js",
    "<svg onload=window.evil=1>",
    "<details open ontoggle=window.evil=1>",
    "<a href='javascript:window.evil=1'>evil</a>",
    "![i](http://evil.example/i.png)",
    "[ref][evil] [evil]: http://evil.example",
    "[evil]: http://evil.example",
    "[^1] [^1]: evil",
    "<http://evil.example>",
    "http://evil.example/a",
    "HTTPS://evil.example/(b)_*c*|d",
    "ftp://evil.example",
    "see www.evil.example now",
    "(www.evil.example)",
    "ann@evil.example",
    "mailto:bob@evil.example",
    "xmpp:bob@evil.example",
    "a`http://evil.example`b",
    "\\`http://evil.example",
    "`tick` ``evil`` | pipe \\| back\\",
    "```mermaid evil```",
    "graph TD; evil-->x",
    "$$\\evil$$ $x$",
    "&lt;b&gt; &amp; &#x3c;evil&#x3e; &#106;avascript:evil",
    "<!-- evil -->after",
    "<![CDATA[evil]]>",
    "<?evil?>",
    "# evil",
    "- evil",
    "1. evil",
    "> evil",
    "===",
    "---",
    ":-:",
    "**evil** _it_ ~~del~~ ==mark==",
    "[ ] evil",
    "{{7*7}} ${7*7} <%= 7 %> [red]evil[/red] :smile:",
    "=cmd|' /C calc'!A0",
]  # fmt: skip
"""Names without invisible characters: what is shown must be the name itself."""

UNSEEN: Final = [
    "line\nbreak",
    "line\r\nINFO | forged",
    "sep\u2028and\u2029and\x85nel",
    "rtl\u202egpj.exe",
    "zero\u200bwidth\ufeff",
    "filled\u3164\uffa0\u115f\u1160\u2800\u034f\u17b4\u180b.pdf",
    "esc\x1b[2J\x1b]8;;http://evil.example\x07link\x1b]52;c;ZXZpbA==\x07",
    "c1\x9b31m\x9d8;;http://evil.example\x9c",
    "nul\0bell\x07back\x08del\x7f",
    "\tindented",
    "no\xa0break",
]
"""Names with such characters, which are shown as escapes."""
