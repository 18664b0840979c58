"""What a browser is shown of an item is decided by its bytes, and bounded whatever they are."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage

import pytest

from prefect_collect.console.mail_attachments import attachments_of
from prefect_collect.console.mail_text import is_mail, mail_text
from prefect_collect.console.previews import (
    MOST_SHOWN,
    Preview,
    Shown,
    bytes_shown_as,
    hex_dump,
    preview_of,
    preview_of_bytes,
    shown_as,
)
from prefect_collect.errors import ActionNotAllowed
from prefect_collect.packages import HeldItem
from tests.examples import examples

TEXT = "text/plain; charset=utf-8"
HEAD = b"From: a@example.org\nTo: b@example.org\nSubject: s\nDate: Mon, 5 Jan 2026 10:00:00 +0000\n"


class Bytes(HeldItem):
    """An item in memory."""

    def __init__(self, content: bytes, size: int | None = None) -> None:
        self.__dict__.update(content=content, size=len(content) if size is None else size)

    def head(self) -> bytes:
        """Return the first 64 KiB."""
        return bytes(self.__dict__["content"][: 64 << 10])

    def read(self) -> Iterator[bytes]:
        """Yield the bytes."""
        yield self.__dict__["content"]


def shown(content: bytes) -> tuple[Shown, Preview]:
    """Return how content is shown, which is the same by its beginning as by all of it."""
    item = Bytes(content)
    return shown_as(item), preview_of(item)


@pytest.mark.parametrize(
    ("content", "kind", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", Shown.IMAGE, "image/png"),
        (b"\xff\xd8\xff\xe0", Shown.IMAGE, "image/jpeg"),
        (b"GIF89a", Shown.IMAGE, "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", Shown.IMAGE, "image/webp"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", Shown.IMAGE, "image/bmp"),
        (b"%PDF-1.7\n\0", Shown.PDF, "application/pdf"),
        (b"BMW drives", Shown.TEXT, TEXT),
        (b"RIFF: a word", Shown.TEXT, TEXT),
        (b"GIF is a word", Shown.TEXT, TEXT),
        (b"\n%PDF-1.7", Shown.TEXT, TEXT),
        (b"<!doctype html><script>alert(1)</script>", Shown.TEXT, TEXT),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', Shown.TEXT, TEXT),
        (b"\xef\xbb\xbf<html>", Shown.TEXT, TEXT),
        ("<html>".encode("utf-16"), Shown.TEXT, TEXT),
        (b"", Shown.TEXT, TEXT),
        (HEAD + b"\nbody", Shown.MAIL, TEXT),
        (b"\x7fELF\x02\x01\x01\0", Shown.BYTES, TEXT),
        (b"PK\x03\x04\x14\0", Shown.BYTES, TEXT),
        (bytes(range(128, 256)), Shown.BYTES, TEXT),
    ],
)
def test_the_kind_is_decided_by_content(content: bytes, kind: Shown, media_type: str) -> None:
    """Only a few kinds of images, and PDF, are sent as they are; all else is sent as text, whatever it claims."""
    found, preview = shown(content)
    assert (found, preview.media_type) == (kind, media_type)
    if kind in (Shown.IMAGE, Shown.PDF):
        assert preview.content == content


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Grüße".encode(), "Grüße"),
        ("Grüße".encode("utf-16"), "Grüße"),
        ("\ufeffGrüße".encode(), "Grüße"),
        ("Grüße, sagte Müller".encode("cp1252"), "Grüße, sagte Müller"),
    ],
)
def test_texts_are_decoded(content: bytes, text: str) -> None:
    """Texts in UTF-8, in UTF-16 with a mark, and in the usual encoding of Western Windows are shown as they were."""
    assert shown(content)[1].content.decode() == text


def test_large_items_are_bounded() -> None:
    """Of a long text and of long bytes the beginning is sent, with how much is left; a huge item is not read."""
    text = preview_of(Bytes(b"a" * (2 << 20))).content
    assert len(text) < (1 << 20) + 200
    assert b"1,048,576 of 2,097,152 bytes" in text
    assert len(hex_dump(bytes(1 << 20), 1 << 20)) < 100_000
    huge = Bytes(b"never read", MOST_SHOWN + 1)
    assert shown_as(huge) is Shown.NOTHING
    assert preview_of(huge).media_type == TEXT
    assert b"never read" not in preview_of(huge).content


def test_a_text_cut_within_a_letter_is_a_text() -> None:
    """The sample by which the kind is decided may end within a letter of several bytes."""
    assert shown(b"a" + "ü".encode() * (40 << 10))[0] is Shown.TEXT


def test_hex_dumps_have_offsets_digits_and_letters() -> None:
    """A line has an offset, 16 bytes and their ASCII letters."""
    lines = hex_dump(bytes(range(60, 80)), 20).splitlines()
    assert lines[0] == "00000000  3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK"
    assert lines[1].split() == ["00000010", "4c", "4d", "4e", "4f", "LMNO"]


def test_mails_are_shown_as_text() -> None:
    """Headers are decoded, attachments are named, and the body is the plain text, else the source of another text."""
    body = base64.encodebytes("Grüße\n".encode())
    mail = (
        HEAD.replace(b"Subject: s", b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=")
        + b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n\n--x\n'
        + b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
        + body
        + b'\n--x\nContent-Type: application/pdf\nContent-Disposition: attachment; filename="a.pdf"\n\nx\n--x--\n'
    )
    text = mail_text(mail, len(mail))
    assert "Subject: Grüße\n" in text
    assert "Attachment: a.pdf (application/pdf)\n" in text
    assert text.endswith("\n\nGrüße\n")
    html = mail_text(HEAD + b"Content-Type: text/html; charset=no-such\n\n<script>x</script>", 200)
    assert "<script>x</script>" in html


def test_attachments_are_taken_out() -> None:
    """Attachments are decoded and have their names: files, a mail with its subject, and the files in it."""
    inner = EmailMessage()
    inner["Subject"] = "Grüße"
    inner.set_content("inner text")
    inner.add_attachment(b"inner", maintype="application", subtype="pdf", filename="Vertrag Müller.pdf")
    mail = EmailMessage()
    mail.set_content("the text")
    mail.add_attachment("<b>evil</b>", subtype="html", filename="<b>.html")
    mail.add_attachment(b"\x89PNG", maintype="image", subtype="png")
    mail.add_attachment(inner)
    found = attachments_of(mail.as_bytes())
    assert [(one.number, one.name, one.media_type, one.content) for one in found] == [
        (1, "<b>.html", "text/html", b"<b>evil</b>\n"),
        (2, "unnamed.png", "image/png", b"\x89PNG"),
        (3, "Grüße.eml", "message/rfc822", inner.as_bytes()),
        (4, "Vertrag Müller.pdf", "application/pdf", b"inner"),
    ]
    assert "\nAttachment: Grüße.eml (message/rfc822)\n" in mail_text(mail.as_bytes(), 0)
    assert bytes_shown_as(found[0].content) is Shown.TEXT
    assert preview_of_bytes(found[0].content).media_type == TEXT
    assert attachments_of(HEAD + b"\nonly text") == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "mail",
    [
        HEAD + b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n" * examples(500_000),
        HEAD
        + b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(examples(5_000))),
        HEAD + b"Content-Type: message/rfc822\n\n" * examples(20_000),
        HEAD + b"Subject: " + b"=?utf-8?q?a?= " * examples(100_000) + b"\n\nbody",
        HEAD + b"Content-Type: text/plain; charset=idna\n\n" + b"\xff" * examples(100_000),
        HEAD + b"Content-Transfer-Encoding: base64\n\n" + b"=" * examples(1_000_000),
        HEAD + b"Content-Type: " + b"a/b;" * examples(500_000) + b"\n\nbody",
        HEAD + b"To: " + b'"' * examples(1_000_000) + b"\n\nbody",
        HEAD + b"X: y\n" * examples(200_000) + b"\nbody",
    ],
)
def test_hostile_mails_end(mail: bytes) -> None:
    """A mail made to keep its reader busy, or to break it, is shown somehow, and soon: where the
    time would grow with the square of what it holds, it would take longer than the test may. A quick run has mails of a
    tenth of the size.
    """
    assert is_mail(mail[: 64 << 10])
    assert len(mail_text(mail, len(mail))) <= 4 << 20
    with suppress(ActionNotAllowed):
        assert sum(len(one.content) for one in attachments_of(mail)) <= 2 * len(mail)


@pytest.mark.parametrize(
    "mail",
    [
        HEAD + b"\n" * 2_000_001,
        HEAD + b"\r" * 2_000_001,
        HEAD + b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\nx\n" * 2_000,
    ],
)
def test_a_mail_of_many_lines_or_parts_is_not_taken_apart(mail: bytes) -> None:
    """A mail that would take much memory is refused in words."""
    with pytest.raises(ActionNotAllowed, match="Download it"):
        attachments_of(mail)
