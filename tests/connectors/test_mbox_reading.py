"""Messages of mbox files that are read in a retry, without the SHA-256 that the listing knew, and their names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prefect_collect.blocks import MboxSource
from prefect_collect.connectors.mail.texts import named
from prefect_collect.errors import SourceError
from prefect_collect.packages.building.portable_paths import whats_wrong
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of
from tests.examples import examples
from tests.support.mbox_bytes import mail, mbox

REWRITTEN = {
    "longer before": mbox(mail(1, b"much longer than before\n"), mail(2), mail(3)),
    "shorter before": mbox(mail(1, b""), mail(2), mail(3)),
    "longer itself": mbox(mail(1), mail(2, b"text and more\n"), mail(3)),
    "another one": mbox(mail(1), mail(7), mail(3)),
    "no mbox": b"x" * 10_000,
    "From in a text": mbox(mail(1), mail(2, b"\nFrom here\n" * 50)),
    "gone": mbox(mail(1)),
}


def never_tried(item: Item) -> Item:
    """Return an item as a retry asks for it if it was never tried: of its listing only the size is known."""
    return Item(item.id, item.path, item.size, is_current=False)


@pytest.mark.parametrize("how", REWRITTEN)
def test_a_file_that_was_rewritten_before_the_retry(tmp_path: Path, how: str) -> None:
    """If the mbox file was rewritten, other bytes at the place are not taken for the message, and a look-up does not
    find it.
    """
    file = tmp_path / "a"
    file.write_bytes(mbox(mail(1), mail(2), mail(3)))
    source = MboxSource(inside=str(tmp_path))
    item = never_tried([*items_of(source)][1])
    with source.open(item) as content:
        assert b"".join(map(bytes, content.chunks)) == mail(2)
    file.write_bytes(REWRITTEN[how])
    with pytest.raises(SourceError) as caught, MboxSource(inside=str(tmp_path)).open(item) as content:
        b"".join(map(bytes, content.chunks))
    assert caught.value.code in ("not_found", "changed_during_read")
    assert [*source.relist(item)] == []


def test_a_file_that_grew_before_the_retry(tmp_path: Path) -> None:
    """Mail that was appended is no change of what was listed, whatever the subject of a message."""
    file = tmp_path / "a"
    first = mail(1).replace(b"Subject: message 1\n", b"Subject: Re: a/b. . \xc3\xbc =?utf-8?q?=C3=A4?=\n")
    odd = mail(2).replace(b"Subject: message 2\n", b"")
    file.write_bytes(mbox(first, odd))
    source = MboxSource(inside=str(tmp_path))
    items = [item for item in items_of(source) if item.skipped is None]
    file.write_bytes(mbox(first, odd, mail(3)))
    for item, data in zip(items, (first, odd), strict=True):
        assert [*source.relist(item)] == [replace(item, size=None, modified=None, etag=None)]
        with source.open(never_tried(item)) as content:
            assert b"".join(map(bytes, content.chunks)) == data


@settings(max_examples=examples(200))
@given(st.text(st.sampled_from('aÄ .:*?"<>|/\\\x00\n\x7f') | st.characters(), max_size=100))
@example("Re: offer?")
def test_names_of_messages(subject: str) -> None:
    """Whatever a subject is, the name made of it is one that Windows and macOS take, too."""
    name = named(7, subject)
    assert whats_wrong(name) == []
    assert name.startswith("7")
    assert name.endswith(".eml")
