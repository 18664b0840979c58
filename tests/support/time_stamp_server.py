"""A time stamp server of RFC 3161 on this machine: OpenSSL's, behind a small HTTP server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.support.local_http import serving

_CONFIG = """
[tsa]
default_tsa = one
[one]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
certs = root.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
[v3]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
"""


@dataclass
class TimeStampServer:
    """The running server; `answer`, if set, is sent in place of OpenSSL's."""

    url: str
    folder: Path
    answer: tuple[int, bytes] | None = None
    asked: int = 0

    @property
    def root(self) -> Path:
        """The certificate to trust."""
        return self.folder / "root.pem"


def openssl(folder: Path, *arguments: str) -> None:
    """Run OpenSSL in the folder."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_root(folder: Path, name: str) -> None:
    """Make a certificate that signs itself, `name`.pem, with its key."""
    (folder / "ts.cnf").write_text(_CONFIG)
    arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 -config ts.cnf -extensions root "
    openssl(folder, *f"{arguments}-keyout {name}.key -out {name}.pem -subj /CN={name}".split())


@contextmanager
def time_stamp_server(folder: Path) -> Iterator[TimeStampServer]:
    """Run the server until the context ends; its keys are made in `folder`."""
    make_root(folder, "root")
    (folder / "serial").write_text("01\n")
    request = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config ts.cnf -keyout tsa.key -out tsa.csr"
    openssl(folder, *request.split(), "-subj", "/CN=tsa")
    signing = "x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -days 2 -extfile ts.cnf"
    openssl(folder, *signing.split(), "-extensions", "v3", "-out", "tsa.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.asked += 1
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = server.answer or (200, self._stamped())
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(body)

        def _stamped(self) -> bytes:
            openssl(folder, *["ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-out", "answer"])
            return (folder / "answer").read_bytes()

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with serving(HTTPServer(("127.0.0.1", 0), Handler)) as address:
        server = TimeStampServer(f"{address}/tsr", folder)
        yield server
