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
from pathlib import Path
from typing import Any

import httpx

from tests.integration.certificates import self_signed
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
    certificate = self_signed(folder, name)
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
