"""Ed25519 signatures of packages, judged by OpenSSL too."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from prefect_collect.errors import UsageError
from prefect_collect.signatures.ed25519 import (
    WrongPassphrase,
    key_id,
    read_private_key,
    read_public_key,
    sign,
    signature_problem,
)
from prefect_collect.signatures.message import signed_message

ONE, OTHER = "1" * 64, "2" * 64
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)


def test_openssl_makes_the_keys_and_checks_the_signature(tmp_path: Path) -> None:
    """A key of `openssl genpkey` signs; `openssl pkeyutl` accepts the signature, and not of another fingerprint."""

    def openssl(*arguments: str) -> int:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, check=False).returncode

    assert openssl("genpkey", "-algorithm", "ed25519", "-out", "key.pem") == 0
    assert openssl("pkey", "-in", "key.pem", "-pubout", "-out", "public.pem") == 0
    made = sign(ONE, read_private_key((tmp_path / "key.pem").read_bytes()))
    assert signature_problem(made, ONE, read_public_key((tmp_path / "public.pem").read_bytes())) == ""
    (tmp_path / "value").write_bytes(base64.b64decode(json.loads(made)["value"]))
    for fingerprint, accepted in ((ONE, True), (OTHER, False)):
        (tmp_path / "message").write_bytes(signed_message(fingerprint))
        arguments = [
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "public.pem",
            "-rawin",
            "-in",
            "message",
            "-sigfile",
            "value",
        ]
        assert (openssl(*arguments, "-sigfile", "value") == 0) is accepted


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"fingerprint": OTHER}, "it is of another package"),
        ({"key": key_id(STRANGER.public_key())}, "it was made with another key"),
        ({"value": base64.b64encode(bytes(64)).decode()}, "changed, or forged"),
        ({"value": json.loads(sign(OTHER, KEY))["value"]}, "changed, or forged"),
        ({"algorithm": "none"}, "cannot be read"),
        ({"signature": 2}, "cannot be read"),
        ({"value": "=" * 88}, "cannot be read"),
    ],
)
def test_what_is_wrong_is_a_problem(change: dict[str, Any], what: str) -> None:
    """A signature of another package, with another key, changed or unreadable is a problem, which says which."""
    good = sign(ONE, KEY)
    assert signature_problem(good, ONE, KEY.public_key()) == ""
    assert what in signature_problem(json.dumps(json.loads(good) | change).encode(), ONE, KEY.public_key())


def test_a_strangers_signature_is_none_of_the_signers() -> None:
    """A stranger's signature that names the signer's key is forged."""
    forged = json.loads(sign(ONE, STRANGER)) | {"key": key_id(KEY.public_key())}
    assert "forged" in signature_problem(json.dumps(forged).encode(), ONE, KEY.public_key())


def test_keys_of_another_kind_are_refused() -> None:
    """What is no key in PEM, or a key of another algorithm, is refused in words; a passphrase is asked for."""
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    other = ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    with pytest.raises(UsageError, match="not of Ed25519"):
        read_private_key(other.private_bytes(pem, pkcs8, plain))
    with pytest.raises(UsageError, match="not of Ed25519"):
        read_public_key(other.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(UsageError, match="no private key"):
        read_private_key(b"nothing")
    with pytest.raises(UsageError, match="no public key"):
        read_public_key(b"nothing")
    locked = KEY.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"open sesame"))
    for passphrase in (None, "wrong"):
        with pytest.raises(WrongPassphrase):
            read_private_key(locked, passphrase)
    assert key_id(read_private_key(locked, "open sesame").public_key()) == key_id(KEY.public_key())
