"""The tokens by which requests to Google's buckets are signed: of a service account, and of the environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_collect.errors import SourceError
from prefect_collect.sources.listing import items_of
from tests.integration.cloud_servers import Tokens, tokens
from tests.integration.connectors.object_stores import Authorized, source_of
from tests.support.local_http import serving

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def google_tokens() -> Iterator[Tokens]:
    """A service account."""
    with tokens() as server:
        yield server


def test_a_service_account_of_google(google_tokens: Tokens) -> None:
    """Its token is that of every request, and is asked for once, by what the account's own key signs."""
    given = google_tokens.given
    with serving(server := Authorized()) as url:
        source = source_of("gs://bucket", endpoint_url=url, secret=json.dumps(google_tokens.account))
        for _ in range(3):
            assert [*items_of(source)] == []
    assert server.seen == ["Bearer tests"] * 3
    assert google_tokens.given == given + 1


def test_the_default_credentials_of_google(
    google_tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a secret, those are used that Google's own tools find; what its server refuses is `bad_credentials`."""
    (tmp_path / "key.json").write_text(json.dumps(google_tokens.account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    given = google_tokens.given
    with serving(server := Authorized()) as url:
        source = source_of("gs://bucket", endpoint_url=url)
        for _ in range(2):
            assert [*items_of(source)] == []
        assert server.seen == ["Bearer tests"] * 2
        assert google_tokens.given == given + 1
        monkeypatch.setattr(google_tokens, "are_refused", True)
        with pytest.raises(SourceError, match="account not found") as caught:
            [*items_of(source_of("gs://bucket", endpoint_url=url))]
        assert caught.value.code == "bad_credentials"
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "gone.json"))
        with pytest.raises(SourceError, match="GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud") as caught:
            [*items_of(source_of("gs://bucket", endpoint_url=url))]
        assert caught.value.code == "bad_credentials"
    assert len(server.seen) == 2
