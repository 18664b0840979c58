"""In which scheme of HTTP a WebDAV server gets the proof of a user."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

Authentication = Literal["auto", "basic", "digest", "ntlm", "negotiate"]
"""What a source may be set to."""

OFFERED: Final = ("basic", "digest", "bearer", "negotiate", "ntlm")
"""The schemes that are known in a server's answer."""


def scheme_of(
    asked: Authentication, offered: Collection[str], *, is_private: bool
) -> Literal["basic", "digest", "ntlm", "negotiate-ntlm"]:
    """Return the scheme in which a password is sent.

    Of what the server offers, `auto` takes Digest, else NTLM, else Basic: in the first two, the password itself does
    not leave this machine. Without TLS it takes Digest only: what NTLM sends may be used elsewhere by whoever reads it.

    Args:
        asked: What the source is set to; not ``negotiate``, for which there is no password.
        offered: The schemes that the server names, in lower case.
        is_private: Whether only the server can read what is sent (TLS).

    Raises:
        ValueError: There is none; it says why, and what to do.
    """
    ntlm: Literal["ntlm", "negotiate-ntlm"] = (
        "negotiate-ntlm" if "negotiate" in offered and "ntlm" not in offered else "ntlm"
    )
    if asked == "ntlm":
        return ntlm
    if asked == "digest":
        return "digest"
    if asked == "basic":
        if not is_private:
            raise ValueError("Basic sends the password as it is, which is not done without TLS; use webdavs://")
        return "basic"
    if "digest" in offered:
        return "digest"
    named = " and ".join(sorted(offered)) or "no credentials"
    if not is_private and ("ntlm" in offered or "negotiate" in offered):
        raise ValueError(
            f"The server asks for {named}; without TLS, set the source's authentication to ntlm if the network is "
            "trusted, or use webdavs://"
        )
    if not is_private:
        raise ValueError(
            f"The server asks for {named}, and without TLS a password is sent as Digest only; use webdavs://"
        )
    if "ntlm" in offered:
        return "ntlm"
    if "basic" in offered or not offered:
        return "basic"
    if "negotiate" in offered:
        return ntlm
    raise ValueError(f"The server asks for {named}, which is not spoken here; give a token")
