"""Mail sets that were changed or forged: verify finds it, also where every hash is right."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from prefect_collect.packages import verify
from prefect_collect.stores import DirectoryStore
from tests.packages.mail_packages import both, build, contents


@both
def test_what_was_changed_is_found(filled_mail: Any, exports: DirectoryStore, tmp_path: Path, format: str) -> None:
    """Also with right hashes: a message that is not the item, one that no list has, an index that says other places."""
    built = build(filled_mail, exports, format)
    files = contents(exports, built.key)

    def forged(name: str, old: bytes, new: bytes, *, everywhere: bool = True) -> list[str]:
        """Return the problems of a package in which a file was changed, and the manifest with it."""
        folder = tmp_path / f"forged{len(list(tmp_path.iterdir()))}"
        changed = files[name].replace(old, new, -1 if everywhere else 1)
        assert changed != files[name]
        for other, data in {**files, name: changed}.items():
            if other == "manifest-sha256.txt":
                before, after = (hashlib.sha256(one).hexdigest().encode() for one in (files[name], changed))
                data = data.replace(before, after)
            (folder / other).parent.mkdir(parents=True, exist_ok=True)
            (folder / other).write_bytes(data)
        return [f"{problem.path}: {problem.what}" for problem in verify(folder).problems]

    box = "MAIL/INBOX.mbox"
    assert forged(box, b"Hello", b"Hallo") == [f"{box}: message 1, unquoted, is not the item that was collected"]
    assert "not quoted" in " ".join(forged(box, b"\n>From here", b"\nFrom here "))
    assert "is not where the list" in " ".join(forged(box, b"Sat Feb", b"Sat_Feb"))
    more = b"\nFrom x Sat Feb  3 03:05:06 2024\nSubject: hidden\n\n"
    assert "more than the messages" in " ".join(forged("MAIL/mail.mbox", b"header\n\n", b"header\n\n" + more))
    assert forged("INDEX.csv", b"id-00003", b"id-00009")[0].startswith("INDEX.csv: row 4 is not the message")
    assert forged("EXCEPTIONS.csv", b"timeout", b"timeouts")[0].startswith("EXCEPTIONS.csv: row 3 is not the exception")
    assert "but there are" in " ".join(forged("mail.json", b'"delivered": 5', b'"delivered": 6'))


def test_what_lists_say_of_origins_is_compared(filled_mail: Any, exports: DirectoryStore, tmp_path: Path) -> None:
    """Custodians, folders, paths, sizes and reasons of both lists are those of items.parquet, if that states them."""
    filled_mail.lost[0] |= {"custodian": "Kim", "source_size": 77}
    files = contents(exports, build(filled_mail, exports, "mail-directory").key)

    def problems(files: dict[str, bytes], **changed: tuple[bytes, bytes]) -> str:
        """Return what verify says of a package in which lists were changed, with right hashes."""
        forged = dict(files)
        for name, (old, new) in changed.items():
            assert old in forged[f"{name}.csv"]
            forged[f"{name}.csv"] = forged[f"{name}.csv"].replace(old, new, 1)
        names = [line.split("  ", 1)[1] for line in forged["manifest-sha256.txt"].decode().splitlines()]
        forged["manifest-sha256.txt"] = b"".join(
            f"{hashlib.sha256(forged[name]).hexdigest()}  {name}\n".encode() for name in names
        )
        folder = tmp_path / f"forged{len(list(tmp_path.iterdir()))}"
        for name, data in forged.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return "\n".join(map(str, verify(folder).problems))

    assert problems(files) == ""
    index = "INDEX.csv: row {} has another {!r} than the list of items states"
    assert problems(files, INDEX=(b"Jordan Lee", b"Jordan Doe")) == index.format(1, "Custodian")
    assert problems(files, INDEX=(b'"INBOX/Sent"', b'"INBOX"')) == index.format(3, "Folder")
    row = "EXCEPTIONS.csv: row 3 has another {!r} than items.parquet states"
    for name, old, new in (
        ("Custodian", b'"Kim"', b'""'),
        ("File Name", b'"9.eml"', b'"8.eml"'),
        ("Original Path", b'"INBOX/9.eml"', b'"9.eml"'),
        ("File Size", b'"77"', b'"7"'),
        ("Reason", b"Gone", b"Lost"),
    ):
        assert problems(files, EXCEPTIONS=(old, new)) == row.format(name)
    table = pq.read_table(io.BytesIO(files["items.parquet"])).drop_columns(["custodian"])
    pq.write_table(table, tmp_path / "earlier")
    earlier = files | {"items.parquet": (tmp_path / "earlier").read_bytes()}
    assert problems(earlier, INDEX=(b"Jordan Lee", b"x"), EXCEPTIONS=(b'"Kim"', b'"x"')) == ""
