"""The account and the credentials of Azure Blob Storage, as they are resolved."""

from __future__ import annotations

import pytest

from prefect_collect.connectors.object_store.opening import Access, connect
from prefect_collect.errors import InvalidLocation, SourceError, StoreAccessDenied
from prefect_collect.stores.azure_access import AzureAccess, check_connection_string

URL = "http://127.0.0.1:1/account"


def of_signature(text: str) -> AzureAccess:
    """Return the access by a shared access signature."""
    return AzureAccess(account_url=URL, sas_token=text)


@pytest.mark.parametrize("text", ["sv=1&sig=a%2Bb", "?sv=1&sig=a%2Bb", " ?sv=1&sig=a%2Bb\r\n"])
def test_a_signature_is_taken_without_what_surrounds_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given as such, in a connection string or by the environment."""
    assert of_signature(text).resolved().sas_token == "sv=1&sig=a%2Bb"
    in_string = AzureAccess(connection_string=f"BlobEndpoint={URL};SharedAccessSignature={text}")
    assert in_string.resolved().sas_token == "sv=1&sig=a%2Bb"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", text)
    assert AzureAccess().resolved().sas_token == "sv=1&sig=a%2Bb"


@pytest.mark.parametrize("text", ["sv=1&sig=hush hush", "sv=1&sig=hush\nhush", "sv=1&sig=hüsh", "sv=1#hush"])
def test_a_signature_that_is_none(text: str) -> None:
    """It is refused before a request has it, and the message does not repeat it."""
    with pytest.raises(StoreAccessDenied, match="copy it again"):
        of_signature(text).resolved()
    with pytest.raises(SourceError, match="copy it again") as caught:
        connect(Access("az://container", of_signature(text), None, 1, 1))
    assert caught.value.code == "bad_credentials"
    with pytest.raises(InvalidLocation, match="copy it again") as refused:
        check_connection_string(f"BlobEndpoint={URL};SharedAccessSignature={text}")
    assert "hush" not in f"{caught.value} {refused.value}"
