"""Time stamps of packages by RFC 3161, from a real server and judged by OpenSSL too."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prefect_collect.errors import PackageError, UsageError
from prefect_collect.signatures.message import signed_message
from prefect_collect.signatures.timestamps import check_timestamp, read_certificates, request_timestamp
from tests.support.time_stamp_server import TimeStampServer, make_root, time_stamp_server

ONE, OTHER = "1" * 64, "2" * 64


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeStampServer]:
    """Return a running server."""
    with time_stamp_server(tmp_path_factory.mktemp("tsa")) as running:
        yield running


@pytest.fixture(scope="module")
def stamped(server: TimeStampServer) -> bytes:
    """Return a time stamp of the first fingerprint."""
    return request_timestamp(server.url, ONE)


def test_openssl_accepts_the_time_stamp(server: TimeStampServer, stamped: bytes, tmp_path: Path) -> None:
    """`openssl ts -verify` accepts it for the message of the fingerprint, and not for another."""
    (tmp_path / "stamp.tsr").write_bytes(stamped)
    for fingerprint, accepted in ((ONE, True), (OTHER, False)):
        (tmp_path / "message").write_bytes(signed_message(fingerprint))
        arguments = ["openssl", "ts", "-verify", "-in", "stamp.tsr", "-data", "message", "-CAfile", str(server.root)]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode == 0) is accepted


def test_a_time_stamp_is_held_to_the_package_and_to_the_trusted_root(
    server: TimeStampServer, stamped: bytes, tmp_path: Path
) -> None:
    """The trusted root vouches for the time; another package, another root and a changed byte are problems."""
    roots = read_certificates(server.root.read_bytes())
    found = check_timestamp(stamped, ONE, roots)
    assert found.problem == ""
    assert found.at is not None
    assert abs(datetime.now(UTC) - found.at) < timedelta(hours=1)
    assert "another package" in check_timestamp(stamped, OTHER, roots).problem
    make_root(tmp_path, "root")
    stranger = read_certificates((tmp_path / "root.pem").read_bytes())
    assert "not vouched for" in check_timestamp(stamped, ONE, stranger).problem
    assert (
        "no root" in check_timestamp(stamped, ONE, read_certificates((server.folder / "tsa.pem").read_bytes())).problem
    )
    step = max(1, len(stamped) // 60)
    for at in range(0, len(stamped), step):
        bad = stamped[:at] + bytes([stamped[at] ^ 1]) + stamped[at + 1 :]
        found = check_timestamp(bad, ONE, roots)
        assert found.problem or found.at == check_timestamp(stamped, ONE, roots).at, f"byte {at}"
    assert "cannot be read" in check_timestamp(b"", ONE, roots).problem


@pytest.mark.parametrize(
    ("answer", "what"),
    [((200, b"hello"), "no time stamp of RFC 3161"), ((500, b""), "gave no answer"), (None, "another request")],
)
def test_a_server_that_gives_none_is_an_error(
    server: TimeStampServer, stamped: bytes, answer: tuple[int, bytes] | None, what: str
) -> None:
    """An answer that is no time stamp, an error, or a time stamp of an earlier request is not taken for one."""
    server.answer = answer or (200, stamped)
    try:
        with pytest.raises(PackageError, match=what):
            request_timestamp(server.url, ONE)
    finally:
        server.answer = None


def test_what_cannot_be_asked_is_refused() -> None:
    """An address that is not HTTP and a file without a certificate are wrong use; a server that is gone is an error."""
    with pytest.raises(UsageError, match="http"):
        request_timestamp("file:///etc/passwd", ONE)
    with pytest.raises(UsageError, match="no certificate"):
        read_certificates(b"nothing")
    with pytest.raises(PackageError, match="gave no answer"):
        request_timestamp("http://127.0.0.1:9/", ONE)
