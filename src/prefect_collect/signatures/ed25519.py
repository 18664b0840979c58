"""Ed25519 signatures (RFC 8032) of packages, as small JSON files.

    {"signature": 1, "algorithm": "Ed25519", "fingerprint": "<hex>", "key": "<hex>", "value": "<Base64>"}

`key` is the SHA-256 of the public key's DER (SubjectPublicKeyInfo), by which a receiver tells keys apart; which key is
whose, a receiver must know from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from prefect_collect.errors import UsageError
from prefect_collect.signatures.message import signed_message
from prefect_collect.untrusted.bounded_json import BadValue, fields, parse_json, text, whole

MOST_BYTES: Final = 64 << 10
"""The most bytes of a file with a signature or a key."""

_SIGNATURE: Final = fields(
    {
        "signature": whole(1, 1),
        "algorithm": text(20, "Ed25519"),
        "fingerprint": text(64, "[0-9a-f]{64}"),
        "key": text(64, "[0-9a-f]{64}"),
        "value": text(100, "[A-Za-z0-9+/=]{88}"),
    }
)


class WrongPassphrase(UsageError):
    """A private key is encrypted, and the passphrase is missing or wrong."""


def read_private_key(pem: bytes, passphrase: str | None = None) -> Ed25519PrivateKey:
    """Return the private key in a PEM file (PKCS #8). Raise UsageError if it is not such a key, WrongPassphrase."""
    try:
        key = serialization.load_pem_private_key(pem, None if passphrase is None else passphrase.encode())
    except TypeError as error:
        raise WrongPassphrase("The key is encrypted, and needs its passphrase; or it takes none.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if passphrase is not None:
            raise WrongPassphrase("The key cannot be read with this passphrase.") from error
        raise UsageError(
            "The file is no private key in PEM; make one with `openssl genpkey -algorithm ed25519 -out key.pem`."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(
            "The private key is not of Ed25519; make one with `openssl genpkey -algorithm ed25519 -out key.pem`."
        )
    return key


def read_public_key(pem: bytes) -> Ed25519PublicKey:
    """Return the public key in a PEM file. Raise UsageError if it is not such a key."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            "The file is no public key in PEM; `openssl pkey -in key.pem -pubout` prints that of a private key."
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError("The public key is not of Ed25519, with which packages are signed.")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 (hex) of the public key's DER."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def sign(fingerprint: str, key: Ed25519PrivateKey) -> bytes:
    """Return the file with the signature of the package that has the fingerprint (hex)."""
    values = {
        "signature": 1,
        "algorithm": "Ed25519",
        "fingerprint": fingerprint,
        "key": key_id(key.public_key()),
        "value": base64.b64encode(key.sign(signed_message(fingerprint))).decode(),
    }
    return json.dumps(values, indent=1).encode() + b"\n"


def signature_problem(data: bytes, fingerprint: str, key: Ed25519PublicKey) -> str:
    """Return what is wrong with a signature, as the end of a sentence; "" if that key signed that fingerprint."""
    try:
        values = parse_json(data, _SIGNATURE, MOST_BYTES, 100)
        value = base64.b64decode(values["value"], validate=True)
    except ValueError as error:
        what = f": {error}" if isinstance(error, BadValue) else ""
        return f"it cannot be read as the signature of a package{what}"
    if values["fingerprint"] != fingerprint:
        return f"it is of another package, with the fingerprint {values['fingerprint']}"
    if values["key"] != key_id(key):
        return f"it was made with another key, {values['key']}, and not with {key_id(key)}"
    try:
        key.verify(value, signed_message(fingerprint))
    except InvalidSignature:
        return "the key did not sign this fingerprint: the signature was changed, or forged"
    return ""
