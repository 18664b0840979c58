"""A realm of Kerberos for the tests, by MIT's own KDC, and a server's side of Negotiate that takes its tickets."""

from __future__ import annotations

import ctypes
import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.ntlm import Ntlm
from tests.integration.servers import find_program, free_port, served

REALM, USER, PASSWORD = "CORP.EXAMPLE", "ann", "not-a-secret"

_CONFIG = """[libdefaults]
 default_realm = {realm}
 udp_preference_limit = 1
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
  key_stash_file = {folder}/stash
  database_module = kept
 }}
[domain_realm]
 localhost = {realm}
[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[dbmodules]
 kept = {{
  db_library = db2
  database_name = {folder}/principals
 }}
"""


@dataclass(frozen=True)
class Realm:
    """A running KDC, which knows one user, and the server HTTP/localhost.

    Attributes:
        folder: Where its files are.
        variables: The environment of whoever is in the realm.
    """

    folder: Path
    variables: dict[str, str]

    def get_ticket(self) -> None:
        """Get the user's ticket, which is in the environment then."""
        self.run("kinit", USER, given=f"{PASSWORD}\n")

    def run(self, program: str, *arguments: str, given: str = "") -> None:
        """Run a program of Kerberos."""
        command = [find_program(program), *arguments]
        done = subprocess.run(command, env=os.environ | self.variables, input=given, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr


@contextmanager
def realm(folder: Path) -> Iterator[Realm]:
    """Run a KDC."""
    port = free_port()
    config = folder / "krb5.conf"
    config.write_text(_CONFIG.format(realm=REALM, port=port, folder=folder))
    variables = {
        "KRB5_CONFIG": str(config),
        "KRB5_KDC_PROFILE": str(config),
        "KRB5_KTNAME": f"FILE:{folder / 'server.keytab'}",
        "KRB5CCNAME": f"FILE:{folder / 'ticket'}",
        "KRB5RCACHEDIR": str(folder),
    }
    made = Realm(folder, variables)
    made.run("kdb5_util", "create", "-s", "-P", "master")
    for query in (
        f"addprinc -pw {PASSWORD} {USER}",
        "addprinc -randkey HTTP/localhost",
        f"ktadd -k {folder / 'server.keytab'} HTTP/localhost",
    ):
        made.run("kadmin.local", "-q", query)
    command = ["env", *(f"{name}={text}" for name, text in variables.items()), find_program("krb5kdc"), "-n"]
    with served(command, port, folder / "log"):
        yield made


class Kerberos(Ntlm):
    """Lets requests pass on connections on which the ticket of a user was accepted, by the system's GSS-API."""

    def _stepped(self, port: str, token: bytes) -> str | None:
        user, answer = accepted(token)
        if user is None:
            self.refused += 1
            return b64encode(answer).decode()
        self.proved[port] = user
        self.carried[port] = 1
        return None


class _Buffer(ctypes.Structure):
    _fields_ = (("length", ctypes.c_size_t), ("value", ctypes.c_void_p))


def accepted(token: bytes) -> tuple[str | None, bytes]:
    """Return the user whose ticket a token has, or None, and the answer to it (RFC 2744, gss_accept_sec_context)."""
    library: Any = ctypes.CDLL(find_library("gssapi_krb5") or "libgssapi_krb5.so.2")
    minor, context, name = ctypes.c_uint32(), ctypes.c_void_p(), ctypes.c_void_p()
    data = ctypes.create_string_buffer(token, len(token))
    given, out, shown = _Buffer(len(token), ctypes.cast(data, ctypes.c_void_p)), _Buffer(), _Buffer()
    status = library.gss_accept_sec_context(
        ctypes.byref(minor), ctypes.byref(context), None, ctypes.byref(given), None, ctypes.byref(name), None,
        ctypes.byref(out), None, None, None,
    )  # fmt: skip
    answer = ctypes.string_at(out.value, out.length) if out.value else b""
    if status != 0:
        return None, answer
    library.gss_display_name(ctypes.byref(minor), name, ctypes.byref(shown), None)
    return ctypes.string_at(shown.value or 0, shown.length).decode(), answer
