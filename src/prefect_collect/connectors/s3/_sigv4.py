"""Signing S3 reads with AWS Signature Version 4.

The scheme is AWS's "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)". libcurl can
also sign, but not together with CURLOPT_PATH_AS_IS, without which keys such as ``x/../y`` cannot be read; botocore's
signer takes 14 to 20 times the CPU, 0.13 ms a request (``python -m benchmarks.libraries``).
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Final, NamedTuple

_EMPTY: Final = hashlib.sha256(b"").hexdigest()


class Keys(NamedTuple):
    """An access key, its secret, and the session token of temporary keys."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        return f"Keys({self.access_key!r}, …)"


class Signer:
    """The signer of GET and HEAD requests to one host.

    `keys` is called for each request, so that temporary keys can be renewed. With `request_payer` the requests state
    that the requester pays.
    """

    def __init__(self, *, host: str, region: str, keys: Callable[[], Keys], request_payer: bool = False) -> None:
        self._host = host
        self._region = region
        self._keys = keys
        self._payer = request_payer
        self._derived: tuple[str, str, bytes] = ("", "", b"")

    def headers(
        self,
        path: str,
        *,
        query: str = "",
        method: str = "GET",
        checksums: bool = True,
        now: time.struct_time | None = None,
    ) -> list[str]:
        """Return the header lines for a request of `path`, which is already percent-encoded, as is its `query`.

        The query's parameters are in the order of their names, and each has a "=". With `checksums`, which only
        requests of an object have, the answer states the object's checksum.
        """
        access_key, secret_key, token = self._keys()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", now or time.gmtime())
        day = stamp[:8]
        names = "host;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date"
        mode_line, payer_line, token_line = "x-amz-checksum-mode:ENABLED\n", "", ""
        if not checksums:
            names, mode_line = "host;x-amz-content-sha256;x-amz-date", ""
        if self._payer:
            names += ";x-amz-request-payer"
            payer_line = "x-amz-request-payer:requester\n"
        if token:
            names += ";x-amz-security-token"
            token_line = f"x-amz-security-token:{token}\n"
        request = (
            f"{method}\n{path}\n{query}\nhost:{self._host}\n{mode_line}x-amz-content-sha256:{_EMPTY}\n"
            f"x-amz-date:{stamp}\n{payer_line}{token_line}\n{names}\n{_EMPTY}"
        )
        scope = f"{day}/{self._region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key(day, secret_key), text.encode(), "sha256").hex()
        lines = [
            f"x-amz-content-sha256: {_EMPTY}",
            f"x-amz-date: {stamp}",
            f"Authorization: AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, "
            f"Signature={signature}",
        ]
        if checksums:
            lines.append("x-amz-checksum-mode: ENABLED")
        if self._payer:
            lines.append("x-amz-request-payer: requester")
        if token:
            lines.append(f"x-amz-security-token: {token}")
        return lines

    def _key(self, day: str, secret_key: str) -> bytes:
        derived_day, derived_secret, key = self._derived
        if derived_day != day or derived_secret != secret_key:
            key = f"AWS4{secret_key}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._derived = (day, secret_key, key)
        return key
