"""Lists of URLs: lines that are wrong or alike, lists that change, and secrets in URLs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.blocks import HttpListSource
from prefect_collect.connectors.url_list.list_file import ListFile
from prefect_collect.errors import SourceError
from prefect_collect.sources import Item
from prefect_collect.sources.listing import items_of, proven
from prefect_collect.statuses import JobStatus
from tests.integration.connectors.url_lists import BIG, failure, only, source_of
from tests.integration.http_files import Fault, File, HttpFiles
from tests.integration.sources.places import collected, patterned, read
from tests.support.run_attempts import attempt, check_account, held, unsuccessful

pytestmark = pytest.mark.integration


def test_the_list_of_a_server(web: HttpFiles, tmp_path: Path) -> None:
    """A list may come from a server, which may ask for headers; one that is cut is no list."""
    web.token = "hush"
    lines = "".join(json.dumps({"url": web.put(f"{number}", b"x")}) + "\n" for number in range(200))
    web.put("list.jsonl", lines.encode())
    headers = {"127.0.0.1": {"Authorization": "Bearer hush"}}
    source = HttpListSource.model_validate(
        {"name": "x", "url": f"urls+{web.url}/list.jsonl", "headers": headers, "allow_private": True}
    )
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert len(held(folder)) == 200
    web.files["/list.jsonl"].etag = web.files["/list.jsonl"].modified = None
    web.faults.append(Fault(path="list", keep=len(lines) // 2))
    with pytest.raises(SourceError) as caught:
        [*items_of(source)]
    assert caught.value.code == "truncated"


def test_secrets_of_the_lists_address(web: HttpFiles, tmp_path: Path) -> None:
    """The query with which a list is asked for is sent, and neither in the job's files nor in an error."""
    line = json.dumps({"url": web.put("a", b"x")}).encode()
    web.files["/list.jsonl?token=hush&own=hush"] = File(line, None, None)
    source = HttpListSource(url=f"urls+{web.url}/list.jsonl?token=hush&own=hush", allow_private=True)
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert len(held(folder)) == 1
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert files
    assert not any(b"hush" in path.read_bytes() for path in files)
    del web.files["/list.jsonl?token=hush&own=hush"]
    with pytest.raises(SourceError) as caught:
        [*items_of(source)]
    assert caught.value.code == "not_found"
    assert "hush" not in str(caught.value)


def test_wrong_lines(web: HttpFiles, tmp_path: Path) -> None:
    """Each wrong line is an item that failed, with its number; the others are collected; a retry reads them anew."""
    url = web.put("a", b"x")
    lines: list[Any] = [
        {"url": url}, "", "{", {"url": "ftp://x/y"}, {"url": url}, {"urls": url}, {"url": web.put("b", b"y")},
        '{"url": "http://x/', 
    ]  # fmt: skip
    source = source_of(tmp_path, *lines)
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    failed = {row["path"]: row for row in unsuccessful(folder).values()}
    assert failed.keys() == {f"line {number}" for number in (3, 4, 5, 6, 8)}
    assert {row["error_code"] for row in failed.values()} == {"invalid_item"}
    assert "Line 5 of the list has the same url as line 1" in failed["line 5"]["message"]
    source_of(tmp_path, {"url": url}, {"url": web.put("c", b"z")})
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)
    assert {row["original_path"] for row in held(folder).values()} == {f"127.0.0.1/{name}" for name in "abc"}


@pytest.mark.parametrize("more", [[], ["nonsense"]], ids=["looked up", "listed anew"])
def test_a_line_that_was_corrected(web: HttpFiles, tmp_path: Path, more: list[str]) -> None:
    """A wrong URL that is corrected under its name leaves the account, and one that is taken out stays, as is said."""
    lines = [{"url": web.put("a", b"x")}, {"url": f"{web.url}/b.tx", "name": "docs/b"}, {"url": f"{web.url}/c.tx"}]
    source = source_of(tmp_path, *lines, *more)
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    source_of(tmp_path, lines[0], {"url": web.put("b.txt", b"y"), "name": "docs/b"}, *more)
    result = attempt(folder, source)
    check_account(folder)
    assert (result.counts.found, result.counts.succeeded) == (3 + len(more), 2)
    assert [row["original_path"] for row in held(folder).values()] == ["127.0.0.1/a", "docs/b"]
    said = unsuccessful(folder)[f"{web.url}/c.tx"]
    assert said["error_code"] == "not_found"
    assert "no such URL any more, and none under its name: no retry collects it unless" in said["message"]
    assert any("counted: docs/b. The job had found" in note for note in result.notes)


def test_a_corrected_line_that_is_wrong_too(web: HttpFiles, tmp_path: Path) -> None:
    """The item of the corrected line is the one that fails, and is corrected again."""
    line = {"url": web.put("a", b"x")}
    source = source_of(tmp_path, line, {"url": f"{web.url}/b.tx", "name": "b"})
    folder, _ = collected(tmp_path, source)
    source_of(tmp_path, line, {"url": f"{web.url}/b.tx2", "name": "b"})
    attempt(folder, source)
    assert unsuccessful(folder).keys() == {f"{web.url}/b.tx2"}
    source_of(tmp_path, line, {"url": web.put("b.txt", b"y"), "name": "b"})
    assert attempt(folder, source).status is JobStatus.SUCCESSFULLY_COMPLETED
    check_account(folder)


def test_a_line_that_took_the_name_of_another(web: HttpFiles, tmp_path: Path) -> None:
    """What is read of a list that was corrected meanwhile is said to have another URL, whose item is told from it."""
    source = source_of(tmp_path, {"url": f"{web.url}/b.tx", "name": "b"})
    item = only(source)
    source_of(tmp_path, {"url": web.put("b.txt", b"y"), "name": "b"})
    assert str(failure(source, item)).endswith(
        f"but another one under its name, which a retry collects unless the job has it already: {web.url}/b.txt. "
        f"[{web.url}/b.tx]"
    )


def test_urls_that_differ_in_what_is_not_shown(web: HttpFiles, tmp_path: Path) -> None:
    """URLs that differ only in what is left out of ids are items of their own, and the same ones in each retry.

    The line's name tells them apart, also after a token was renewed; a digest of the URL does if they have none, or
    the same one. Only a URL that is listed twice is a copy.
    """
    contents = {f"get?key={name}": f"content of {name}".encode() for name in ("a.pdf", "b.pdf")}
    contents |= {f"doc?token=hush{n}": b"doc %d" % n for n in range(2)}
    contents |= {f"twin?code={n}": b"twin %d" % n for n in range(2)}
    for rest, data in contents.items():
        web.files[f"/{rest}"] = File(data, None, None)
    names = {"doc?token=hush0": "first", "doc?token=hush1": "second", "twin?code=0": "twin", "twin?code=1": "twin"}
    lines = [{"url": f"{web.url}/{rest}", **({"name": names[rest]} if rest in names else {})} for rest in contents]
    source = source_of(tmp_path, *lines, lines[0])
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    [failed] = unsuccessful(folder).values()
    assert "Line 7 of the list has the same url as line 1" in failed["message"]
    ids = {item_id: row["size"] for item_id, row in held(folder).items()}
    assert sorted(ids.values()) == sorted(len(data) for data in contents.values())
    assert {f"{web.url}/doc?token=…#first", f"{web.url}/doc?token=…#second"} < ids.keys()
    assert "hush" not in str(ids) + str([*held(folder).values()])
    assert {read(source, item) for item in items_of(source) if item.failure is None} == {*contents.values()}
    renewed = [{**line, "url": line["url"].replace("hush", "new")} for line in lines if "twin" not in line["url"]]
    for number in range(2):
        web.files[f"/doc?token=new{number}"] = web.files[f"/doc?token=hush{number}"]
    source = source_of(tmp_path, *reversed(renewed))
    kept = {item_id for item_id in ids if "twin" not in item_id}
    assert {item.id for item in items_of(source)} == kept
    assert {
        found.id for item_id in kept for found in source.relist(Item(item_id, item_id)) if isinstance(found, Item)
    } == kept
    alone = source_of(tmp_path, lines[0])._connection()._lists.opened(fresh=True)
    assert [entry.url for entry in map(alone.find, ids) if entry is not None] == [lines[0]["url"]]
    assert len([*items_of(source_of(tmp_path, *lines[:2]))]) == 2


def test_many_urls_that_differ_in_what_is_not_shown(tmp_path: Path) -> None:
    """Any lines are items with different ids, each of which is found again with its own URL."""
    rows = [(f"https://h/{n % 3}?key={n % 40}", f"name {n % 7}" if n % 2 else None) for n in range(200)]
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps({"url": url} | ({"name": name} if name else {})) + "\n" for url, name in rows))
    with path.open("rb", buffering=0) as file:
        found = ListFile(file, "place")
        entries = [line.entry for line in found.lines() if line.entry is not None]
        ids = {entry.id: entry.url for entry in entries}
        assert len(ids) == len(entries)
        assert {url for url, _ in rows} == {*ids.values()}
        for item_id, url in ids.items():
            entry = found.find(item_id)
            assert entry is not None
            assert (entry.id, entry.url) == (item_id, url)
        first = {entry.path: entry for entry in reversed(entries)}
        assert {path: found.named(path) for path in first} == first
        assert found.named("another name") is None


def test_a_list_that_is_written_to(web: HttpFiles, tmp_path: Path) -> None:
    """A list that changes while it is read proves nothing."""
    source = source_of(tmp_path, *({"url": f"{web.url}/{number}"} for number in range(50)), look_first=False)
    listing = proven(source)
    next(listing)
    with (tmp_path / "list.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(SourceError) as caught:
        list(listing)
    assert caught.value.code == "enumeration_failed"


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    """Without its list a job fails with `not_found`; a folder is no list."""
    source = HttpListSource(name="x", url=f"urls://{tmp_path}/none.jsonl")
    with pytest.raises(SourceError, match=r"no such list on this machine; check the path\. \[urls://") as caught:
        [*items_of(source)]
    assert caught.value.code == "not_found"
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match="no regular file"):
        [*items_of(HttpListSource(name="x", url=f"urls://{tmp_path}/folder"))]


def test_a_server_without_head(web: HttpFiles, tmp_path: Path) -> None:
    """A server that refuses HEAD costs sizes and times, and nothing else; nor does a line that is gone."""
    web.refuses_head = True
    source = source_of(tmp_path, {"url": web.put("a", b"x")}, {"url": web.put("b", patterned(BIG))})
    items = sorted(items_of(source), key=lambda item: item.id)
    assert [item.size for item in items] == [None, None]
    assert [next(iter(source.relist(item))) for item in items] == items
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.SUCCESSFULLY_COMPLETED
    assert len(held(folder)) == 2
    source_of(tmp_path, {"url": web.url_of("a")})
    assert [*source.relist(items[1])] == []
    assert failure(source, items[1]).code == "not_found"


def test_servers_that_are_down(tmp_path: Path) -> None:
    """Servers that do not answer are no reason to look at every URL before the list is read."""
    from tests.integration.servers import free_port

    port = free_port()
    lines = [{"url": f"http://127.0.0.1:{port}/{number}"} for number in range(200)]
    assert len([*items_of(source_of(tmp_path, *lines))]) == 200


def test_secrets_of_urls(web: HttpFiles, tmp_path: Path) -> None:
    """What a URL is opened by is sent, and neither in the item's id nor in a message or the job's files."""
    web.files["/a?sig=hush&v=1"] = web.files["/b?token=hush"] = File(b"x", '"1"', None)
    lines = [{"url": f"{web.url}/{rest}"} for rest in ("a?sig=hush&v=1", "b?token=hush", "d?api_key=hush")]
    source = source_of(tmp_path, *lines)
    folder, status = collected(tmp_path, source)
    assert status is JobStatus.PARTIALLY_COMPLETED
    assert len(held(folder)) == 2
    store = tmp_path / "store"
    assert not any(b"hush" in path.read_bytes() for path in store.rglob("*") if path.is_file())
    assert "hush" not in str([*unsuccessful(folder).values()])
