"""What is signed of a package."""

from __future__ import annotations


def signed_message(fingerprint: str) -> bytes:
    """Return the bytes that a signature or a time stamp of the package with that fingerprint (hex) is made of.

    They begin with words, so that a signature of a package can be taken for nothing else that is signed with the key.
    """
    return f"prefect-collect package\nsha256:{fingerprint}\n".encode()
