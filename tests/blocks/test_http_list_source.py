"""The fields of a source of URLs: what is refused, and which headers go where."""

from __future__ import annotations

from typing import Any

import pytest

from prefect_collect.blocks import HttpListSource, source_from
from prefect_collect.errors import InvalidLocation


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("urls:///srv/list.jsonl", "/srv/list.jsonl"),
        ("urls+https://host/list?x=1", "https://host/list?x=1"),
        ("urls+http://host:8080/list", "http://host:8080/list"),
    ],
)
def test_a_url(url: str, where: str) -> None:
    """The list is a file, or at a server."""
    source = source_from(url, allow_private=True)
    assert isinstance(source, HttpListSource)
    assert source.allow_private
    assert source._connection()._access.list_url == where
    assert source.location() == url


@pytest.mark.parametrize(
    "url",
    ["urls://", "urls://list.jsonl", "urls:///srv/", "urls+https://", "urls+https://a:hush@host/x", "urls+ftp://h/x",
     "https://host/list", "/srv/list.jsonl"],
)  # fmt: skip
def test_a_wrong_url(url: str) -> None:
    """What names no list is refused, and the message names the field and no password."""
    with pytest.raises(InvalidLocation, match=r"^url .*\[url=") as caught:
        HttpListSource(url=url)
    assert "hush" not in str(caught.value)


def test_headers() -> None:
    """Headers are those of servers by name; they are shown nowhere."""
    given = {"Files.Example.org": {"Authorization": "Bearer hush"}, "other": {"X": "y"}}
    source = HttpListSource.model_validate({"url": "urls:///x.jsonl", "headers": given})
    access = source._connection()._access
    assert dict(access.headers)["files.example.org"] == ("Authorization: Bearer hush",)
    assert "hush" not in repr(source) + str(source) + repr(access)
    assert HttpListSource.model_validate({"url": "urls:///x.jsonl", "headers": {}}).headers is None


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer hush"}, {"h": {"a b": "hush"}}, {"h": {"Host": "hush"}}, {"h": {"X": "hush\r\nY: z"}},
     {"https://h/": {"X": "hush"}}, {"h:8080": {"X": "hush"}}],
)  # fmt: skip
def test_wrong_headers(headers: dict[str, Any]) -> None:
    """Headers that name no server, or cannot be sent, are refused without their values."""
    with pytest.raises(InvalidLocation, match=r"^headers .*\[headers=") as caught:
        HttpListSource.model_validate({"url": "urls:///x.jsonl", "headers": headers})
    assert "hush" not in str(caught.value)
