"""The command `sign`, and the options of `verify` that check what it made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from prefect_collect.cli import _package_verdict, run
from prefect_collect.packages import encrypt_package
from prefect_collect.stores import DirectoryStore
from tests.support.memory_source import MemorySource, Thing
from tests.support.run_attempts import attempt, export, new_job
from tests.support.time_stamp_server import TimeStampServer, make_root, openssl, time_stamp_server


@dataclass(frozen=True)
class Signed:
    """A package with a signature and a time stamp, the signer's keys, and the server's root."""

    package: Path
    folder: Path
    server: TimeStampServer

    def verify(self, *options: str) -> int:
        """Verify the package with its key and root."""
        return run(["verify", str(self.package), *options])

    @property
    def trusted(self) -> list[str]:
        """The options that check both."""
        return ["--public-key", str(self.folder / "public.pem"), "--trusted-root", str(self.server.root)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeStampServer]:
    """Return a running time stamp server."""
    with time_stamp_server(tmp_path_factory.mktemp("tsa")) as running:
        yield running


def _exported(tmp_path: Path, content: bytes = b"alpha", to: str = "out") -> Path:
    source = MemorySource({"a.txt": Thing("good", content)})
    folder = new_job(DirectoryStore(tmp_path / "staging"), source)
    attempt(folder, source)
    _, result = export(folder, DirectoryStore(tmp_path / to), "bagit")
    return Path(result.package or "")


@pytest.fixture
def signed(tmp_path: Path, server: TimeStampServer, capsys: pytest.CaptureFixture[str]) -> Signed:
    """Return a package that was signed by the command."""
    package = _exported(tmp_path)
    for name in ("key", "other"):
        openssl(tmp_path, "genpkey", "-algorithm", "ed25519", "-out", f"{name}.pem")
    openssl(tmp_path, "pkey", "-in", "key.pem", "-pubout", "-out", "public.pem")
    openssl(tmp_path, "pkey", "-in", "other.pem", "-pubout", "-out", "stranger.pem")
    assert run(["sign", str(package), "--key", str(tmp_path / "key.pem"), "--timestamp", server.url]) == 0
    made = capsys.readouterr().out.splitlines()
    assert made[1:] == [f"{package}.sig", f"{package}.tsr"]
    return Signed(package, tmp_path, server)


def test_a_signed_package_is_checked(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    """Verify says who signed, and when it was stamped; without key and root it says that both are not checked."""
    assert signed.verify(*signed.trusted, "--json") == 0
    seals = json.loads(capsys.readouterr().out)["seals"]
    assert [seal["valid"] for seal in seals] == [True, True]
    assert seals[0]["what"].startswith("signed with the key ")
    assert seals[1]["what"].startswith("stamped at 20")
    assert signed.verify() == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "not checked; --public-key names" in shown
    assert "not checked; --trusted-root names" in shown


def test_what_is_not_the_signers_is_found(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    """With another key, another root, or beside another package, the exit code is 4 and the reason is said."""
    folder = signed.folder
    assert signed.verify("--public-key", str(folder / "stranger.pem")) == 4
    assert "it was made with another key" in " ".join(capsys.readouterr().out.split())
    make_root(folder, "root")
    assert signed.verify("--trusted-root", str(folder / "root.pem")) == 4
    assert "not vouched for" in " ".join(capsys.readouterr().out.split())
    other = _exported(folder, b"beta", "elsewhere")
    for name in (".sig", ".tsr"):
        Path(f"{other}{name}").write_bytes(Path(f"{signed.package}{name}").read_bytes())
    assert run(["verify", str(other), *signed.trusted]) == 4
    assert " ".join(capsys.readouterr().out.split()).count("it is of another package") == 2


def test_an_encrypted_copy_has_the_seals_of_its_package(
    signed: Signed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fingerprint is that of the package, whose signature and time stamp are found beside it; it is not signed."""
    package, passphrase = signed.package, "correct horse battery"
    where = DirectoryStore(package.parent), package.name, package.parent
    copy = encrypt_package(*where, passphrase, package.stem, None, "bagit", is_folder=False)
    monkeypatch.setattr(_package_verdict, "known_passphrase", lambda *_: passphrase)
    assert run(["verify", str(copy), *signed.trusted, "--json"]) == 0
    seals = json.loads(capsys.readouterr().out)["seals"]
    assert [(seal["valid"], seal["name"]) for seal in seals] == [(True, f"{package}.sig"), (True, f"{package}.tsr")]
    Path(f"{package}.sig").rename(package.with_name(f"{package.stem}.sig"))
    assert run(["verify", str(copy), *signed.trusted]) == 0
    Path(f"{package}.tsr").unlink()
    assert run(["verify", str(copy), *signed.trusted]) == 2
    assert f"[{copy}.tsr]" in "".join(capsys.readouterr().err.split())
    assert run(["sign", str(copy), "--key", str(signed.folder / "key.pem")]) == 2
    assert "sign the package itself" in capsys.readouterr().err


def test_a_package_that_is_not_valid_is_not_signed(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    """Its problems are shown, the exit code is 4, and nothing is written."""
    data = bytearray(signed.package.read_bytes())
    at = data.index(b"alpha")
    data[at : at + 1] = b"A"
    bad = signed.folder / "bad.zip"
    bad.write_bytes(data)
    assert run(["sign", str(bad), "--key", str(signed.folder / "key.pem")]) == 4
    assert "is not signed" in capsys.readouterr().out
    assert not Path(f"{bad}.sig").exists()


def test_wrong_use_is_refused_in_words(signed: Signed, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to sign with, a signature that exists, files without what checks them, and jobs are wrong use."""
    package, folder = str(signed.package), signed.folder
    key = ["--key", str(folder / "key.pem")]
    job = next(path.name for path in (folder / "staging").iterdir())
    for arguments, what in (
        (["sign", package], "Name what to sign with"),
        (["sign", package, *key], "is not overwritten"),
        (["sign", package, *key, "--to", str(folder / "none")], "The folder does not exist"),
        (["sign", "s3://bucket/package.zip", *key], "no folder on this machine"),
        (["sign", package, "--key", str(folder / "public.pem"), "--to", str(folder)], "no private key"),
        (["verify", package, "--signature", "x.sig"], "--public-key"),
        (["verify", package, "--timestamp", "x.tsr"], "--trusted-root"),
        (["verify", package, "--public-key", "none.pem"], "no such file"),
        (["verify", job, "--store", str(folder / "staging"), *signed.trusted], "jobs have none"),
        (["verify", job, "--store", str(folder / "staging"), "--passphrase-from", "x"], "is for encrypted packages"),
    ):
        assert run(arguments) == 2, arguments
        assert what in capsys.readouterr().err
    locked = folder / "locked.pem"
    openssl(folder, "pkey", "-in", "key.pem", "-aes256", "-passout", "pass:secret", "-out", str(locked))
    assert run(["sign", package, "--key", str(locked), "--to", str(folder)]) == 2
    assert "--passphrase-from" in capsys.readouterr().err
