"""Time stamps (RFC 3161) of packages: a server that the user names states when it saw a fingerprint.

rfc3161-client, of Trail of Bits, builds the requests, reads the answers and checks them; it is the extra ``timestamp``,
as few need it and it takes 7 MB. A server is often asked by plain HTTP: its answer is signed, and the request holds
nothing but a hash and a random number.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from prefect_collect.errors import PackageError, UsageError
from prefect_collect.signatures.der_order import with_sorted_certificates
from prefect_collect.signatures.message import signed_message

MOST_BYTES: Final = 1 << 20
"""The most bytes of an answer; those of real servers have some thousand, with their certificates."""

_SECONDS: Final = 60
_QUERY: Final = "application/timestamp-query"


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """What a time stamp proves: nothing if there is a `problem`, which is then the end of a sentence."""

    at: datetime | None
    problem: str = ""


def request_timestamp(server: str, fingerprint: str) -> bytes:
    """Return the answer of a time stamp server about the package with that fingerprint (hex).

    Its status, hash and random number are those that were asked for; its signature is checked by `check_timestamp`.
    Raise UsageError if the address is not a URL or the extra is missing, PackageError if there is no time stamp.
    """
    client = _client()
    if not server.lower().startswith(("http://", "https://")):
        raise UsageError(f"A time stamp server is named by an http:// or https:// address. [server={server}]")
    message = signed_message(fingerprint)
    asked = client.TimestampRequestBuilder().data(message).hash_algorithm(client.HashAlgorithm.SHA256)
    request = asked.cert_request(cert_request=True).nonce(nonce=True).build()
    answer = _post(server, request.as_bytes())
    found = _decoded(answer)
    if found is None:
        raise PackageError(f"The time stamp server's answer is no time stamp of RFC 3161. [server={server}]")
    if client.PKIStatus(found.status) != client.PKIStatus.GRANTED:
        words = "; ".join(str(text) for text in found.status_string or ()) or f"status {found.status}"
        raise PackageError(f"The time stamp server refused the request ({words[:300]}). [server={server}]")
    if not _answers(found, hashlib.sha256(message).digest(), request.nonce):
        raise PackageError(f"The time stamp server answered another request than this one. [server={server}]")
    return answer


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates in a PEM file. Raise UsageError if there is none."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise UsageError("The file has no certificate in PEM; ask the time stamp server's operator for it.") from error


def check_timestamp(answer: bytes, fingerprint: str, certificates: Sequence[x509.Certificate]) -> TimeStamp:
    """Return when the server stamped the fingerprint (hex), if one of the trusted certificates vouches for it.

    `certificates` are the roots that the receiver trusts, with those between them and the server's if the answer lacks
    them. They need to have been valid at the time of the stamp. Raise UsageError if the extra is missing.
    """
    client = _client()
    found = _decoded(answer)
    if found is None:
        return TimeStamp(None, "it cannot be read as a time stamp of RFC 3161")
    roots = [one for one in certificates if one.issuer == one.subject]
    if not roots:
        return TimeStamp(None, "there is no root among the trusted certificates, which signs itself")
    builder = client.VerifierBuilder(roots=roots, intermediates=[one for one in certificates if one not in roots])
    try:
        builder.build().verify_message(found, signed_message(fingerprint))
    except (client.VerificationError, ValueError) as error:
        if "between messages" in str(error):
            return TimeStamp(None, "it is of another package")
        return TimeStamp(None, f"it is not vouched for by the trusted certificates ({str(error)[:300]})")
    return TimeStamp(found.tst_info.gen_time)


def _answers(found: Any, sha256: bytes, nonce: int) -> bool:
    try:
        return bool(found.tst_info.message_imprint.message == sha256 and found.tst_info.nonce == nonce)
    except ValueError:
        return False


def _decoded(answer: bytes) -> Any:
    try:
        return (
            _client().decode_timestamp_response(with_sorted_certificates(answer)) if len(answer) <= MOST_BYTES else None
        )
    except ValueError:
        return None


def _client() -> Any:
    try:
        import rfc3161_client
    except ImportError as error:
        raise UsageError("Time stamps need the extra `timestamp`: pip install 'prefect-collect[timestamp]'.") from error
    return rfc3161_client


def _post(server: str, body: bytes) -> bytes:
    request = urllib.request.Request(server, body, {"Content-Type": _QUERY, "Accept": "application/timestamp-reply"})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            data: bytes = answer.read(MOST_BYTES + 1)
            return data
    except (urllib.error.URLError, OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise PackageError(f"The time stamp server gave no answer ({str(why)[:300]}). [server={server}]") from error
