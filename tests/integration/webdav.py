"""Real WebDAV servers for the tests: wsgidav on cheroot, and ``rclone serve webdav``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter
from wsgidav.wsgidav_app import WsgiDAVApp

from tests.integration.servers import find_program, free_port, served

USER, PASSWORD = "ann", "not-a-secret"


@dataclass
class WebDavServer:
    """A wsgidav that serves a folder in threads of this process.

    Attributes:
        root: The folder.
        auth: What it asks of its users.
        certificate: Certificate and key in one file, for https.
        kept: How many idle connections it keeps.
        guard: Stands between the server and its application, which asks for nothing then.
    """

    root: Path
    auth: Literal["anonymous", "basic", "digest"] = "anonymous"
    certificate: Path | None = None
    guard: Callable[[Any], Any] | None = None
    kept: int = 100
    port: int = field(default_factory=free_port)
    users: dict[str, Any] = field(default_factory=dict, repr=False)
    _server: wsgi.Server | None = field(default=None, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)

    def url(self, path: str = "/", port: int | None = None) -> str:
        """Return the URL of a source."""
        scheme = "webdavs" if self.certificate else "webdav"
        user = "" if self.auth == "anonymous" else f"{USER}@"
        return f"{scheme}://{user}127.0.0.1:{port or self.port}{path}"

    def set_password(self, password: str) -> None:
        """Accept this password alone."""
        self.users[USER] = {"password": password}

    def start(self) -> None:
        """Serve, at the port of before."""
        self.set_password(PASSWORD)
        app = WsgiDAVApp(
            {
                "provider_mapping": {"/": str(self.root)},
                "simple_dc": {"user_mapping": {"*": True if self.auth == "anonymous" else self.users}},
                "http_authenticator": {
                    "accept_basic": self.auth == "basic",
                    "accept_digest": self.auth == "digest",
                    "default_to_digest": self.auth == "digest",
                },
                "fs_dav_provider": {"follow_symlinks": True},
                "verbose": 0,
                "logging": {"enable": False},
                "property_manager": False,
                "lock_storage": False,
            }
        )
        if self.auth != "anonymous":
            self.users = app.config["simple_dc"]["user_mapping"]["*"]  # its copy
        self._server = wsgi.Server(("127.0.0.1", self.port), self.guard(app) if self.guard else app, numthreads=16)
        self._server.shutdown_timeout = 1
        self._server.keep_alive_conn_limit = self.kept
        if self.certificate is not None:
            self._server.ssl_adapter = BuiltinSSLAdapter(str(self.certificate), str(self.certificate))
        self._server.prepare()
        self._thread = threading.Thread(target=self._server.serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
            self._server = None


@contextmanager
def webdav(root: Path, **options: Any) -> Iterator[WebDavServer]:
    """Serve a folder by wsgidav."""
    server = WebDavServer(root, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def rclone_webdav(folder: Path, root: Path) -> Iterator[str]:
    """Serve a folder by ``rclone serve webdav``; yield the URL of a source."""
    folder.mkdir(parents=True)
    port = free_port()
    command = [
        find_program("rclone"), "serve", "webdav", str(root), f"--addr=127.0.0.1:{port}", "--dir-cache-time=0s",
        f"--config={folder / 'rclone.conf'}",
    ]  # fmt: skip
    with served(command, port, folder / "log"):
        yield f"webdav://127.0.0.1:{port}/"
