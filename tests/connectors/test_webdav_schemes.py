"""In which scheme a password is sent to a WebDAV server, of those that it offers."""

from __future__ import annotations

import pytest

from prefect_collect.connectors.webdav.schemes import scheme_of


@pytest.mark.parametrize(
    ("offered", "by_tls", "without"),
    [
        ("", "basic", None),
        ("basic", "basic", None),
        ("basic bearer", "basic", None),
        ("basic digest", "digest", "digest"),
        ("ntlm negotiate", "ntlm", None),
        ("ntlm negotiate basic", "ntlm", None),
        ("ntlm digest basic", "digest", "digest"),
        ("negotiate", "negotiate-ntlm", None),
        ("negotiate basic", "basic", None),  # no server says whether it takes NTLM within, which Windows' does
        ("bearer", None, None),
    ],
)
def test_auto_takes_no_weaker_scheme(offered: str, by_tls: str | None, without: str | None) -> None:
    """It is the strongest that the server offers for a password, and without TLS Digest or none."""
    for expected, is_private in ((by_tls, True), (without, False)):
        if expected is None:
            with pytest.raises(ValueError, match=r"webdavs://|give a token"):
                scheme_of("auto", offered.split(), is_private=is_private)
        else:
            assert scheme_of("auto", offered.split(), is_private=is_private) == expected


def test_a_chosen_scheme() -> None:
    """It is taken whatever the server offers; but the password itself is never sent without TLS."""
    assert scheme_of("ntlm", ["basic", "negotiate", "ntlm"], is_private=False) == "ntlm"
    assert scheme_of("ntlm", ["negotiate"], is_private=False) == "negotiate-ntlm"
    assert scheme_of("digest", ["basic"], is_private=False) == "digest"
    assert scheme_of("basic", ["digest", "basic"], is_private=True) == "basic"
    with pytest.raises(ValueError, match="webdavs://"):
        scheme_of("basic", ["basic"], is_private=False)
