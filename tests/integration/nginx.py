"""A real nginx for the tests, with TLS: each location block in a server of its own, without privileges.

with running_nginx(folder, [block]) as [nginx]:
    with nginx.client(auth=("anna", "password")) as browser:
        browser.get("/console/")
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.servers import end_process, ending_with_us, free_port

_PATIENCE = 120.0
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Nginx:
    """One of its servers: the name that browsers know, the port at 127.0.0.1 to which it leads, its certificate."""

    name: str
    port: int
    certificate: Path

    def client(self, **options: Any) -> httpx.Client:
        """Return a client for which the name leads here, as its DNS would say, and that follows no redirect."""
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(base_url=f"https://{self.name}", transport=_Here(self.port, trusted), **options)


class _Here(httpx.HTTPTransport):
    """Sends requests to a port of this machine, under the name that they are for."""

    def __init__(self, port: int, trusted: ssl.SSLContext) -> None:
        super().__init__(verify=trusted, trust_env=False)
        self._port = port

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        here = request.url.copy_with(host="127.0.0.1", port=self._port)
        named = {**request.extensions, "sni_hostname": request.url.host}
        return super().handle_request(
            httpx.Request(request.method, here, headers=request.headers, stream=request.stream, extensions=named)
        )


@contextmanager
def running_nginx(folder: Path, name: str, blocks: Sequence[str]) -> Iterator[list[Nginx]]:
    """Run nginx with a server for each block, under that name, and end it when the context ends."""
    certificate = _certificate(folder, name)
    servers = [Nginx(name, free_port(), certificate) for _ in blocks]
    config = folder / "nginx.conf"
    config.write_text(_configuration(folder, servers, blocks), encoding="utf-8")
    log = folder / "error.log"
    command = [_program(), "-e", str(log), "-p", str(folder), "-c", str(config)]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(ending_with_us(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _wait(process, servers, log)
        yield servers
    finally:
        end_process(process)


def _program() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert found is not None, "nginx is not installed (Debian: nginx; as root, make tools installs it)"
    return found


def _configuration(folder: Path, servers: Sequence[Nginx], blocks: Sequence[str]) -> str:
    temporary = "".join(f"{one}_temp_path {folder / one};\n" for one in _TEMPORARY)
    shown = "".join(
        f"server {{\nlisten 127.0.0.1:{one.port} ssl;\nserver_name {one.name};\n{block}}}\n"
        for one, block in zip(servers, blocks, strict=True)
    )
    return (
        f"daemon off;\nmaster_process off;\npid {folder / 'pid'};\nevents {{}}\nhttp {{\n{temporary}access_log off;\n"
        f"ssl_certificate {folder / 'certificate.pem'};\nssl_certificate_key {folder / 'key.pem'};\n{shown}}}\n"
    )


def _certificate(folder: Path, name: str) -> Path:
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    written = folder / "certificate.pem"
    written.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    kept = folder / "key.pem"
    kept.touch(mode=0o600)
    kept.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return written


def _wait(process: subprocess.Popen[bytes], servers: Sequence[Nginx], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    for one in servers:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", one.port), timeout=5):
                break
            said = log.read_text(errors="replace") if log.exists() else ""
            assert process.poll() is None, f"nginx does not start:\n{said}"
            assert time.monotonic() < deadline, f"nginx does not answer:\n{said}"
            time.sleep(0.05)  # the condition is polled: nginx announces itself in no other way
