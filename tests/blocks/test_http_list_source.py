"""The fields of a source of URLs: what is refused, and which headers go where."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from prefect_collect.blocks import HttpListSource, source_from
from prefect_collect.errors import InvalidLocation


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("urls:///srv/list.jsonl", "/srv/list.jsonl"),
        ("urls+https://host/list", "https://host/list"),
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


@pytest.mark.parametrize("url", ["urls+https://host/list.jsonl?token=hush&key=b#x", "urls+https://host/list.jsonl"])
def test_a_query(url: str) -> None:
    """The query of a list's address is a secret: it is sent, and neither in the name, nor the location, nor shown."""
    fields = {} if "?" in url else {"url_query": "?token=hush&key=b"}
    source = HttpListSource.model_validate({"url": url, **fields})
    access = source._connection()._access
    assert access.list_url == "https://host/list.jsonl?token=hush&key=b"
    assert (source.name, source.location()) == ("host-list.jsonl", "urls+https://host/list.jsonl")
    assert access.place == source.place() == source.location()
    assert "hush" not in repr(source) + str(source) + repr(access) + source.model_dump_json() + source.url
    kept = json.loads(source.model_dump_json(context={"include_secrets": True}))
    again = HttpListSource.model_validate(kept)
    assert again._connection()._access == access == pickle.loads(pickle.dumps(source))._connection()._access


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "urls+https://host/l?X-Amz-Signature=hush"}, "download the list and give it as urls:///path"),
        ({"url": "urls+https://host/l?sv=1&sig=hush"}, "download the list and give it as urls:///path"),
        ({"url": "urls+https://host/l", "url_query": "sig=hush"}, "download the list and give it as urls:///path"),
        ({"url": "urls+https://host/l?a=hush", "url_query": "a=b"}, "url_query is in the URL too"),
        ({"url": "urls:///srv/list.jsonl", "url_query": "a=hush"}, "goes with a list at a server only"),
        ({"url": "urls+https://host/l?a=hush b"}, "url_query makes a URL that has a space"),
    ],
)
def test_a_wrong_query(fields: dict[str, Any], says: str) -> None:
    """A query that cannot be used, or that expires, is refused without being repeated."""
    with pytest.raises(InvalidLocation, match=says) as caught:
        HttpListSource.model_validate(fields)
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
