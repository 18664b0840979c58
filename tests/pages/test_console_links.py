"""The addresses that pages in Prefect's UI link to: only those of a console."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from prefect_collect.escaping import markdown_link
from prefect_collect.pages.console_links import ConsoleLinks, is_console_address


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:4280",
        "http://127.0.0.1:4280/",
        "https://collect.example.org",
        "https://collect.example.org/console",
        "https://collect.example.org:8443/a/b_c/",
        "http://[::1]:4280",
        "http://web_1:80/x",
        "HTTPS://Collect.Example.org",
    ],
)
def test_addresses_of_consoles(url: str) -> None:
    """http and https, names and numbers, a port and a path."""
    assert is_console_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "JavaScript://x/%0aalert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://collect.example.org",
        "//collect.example.org",
        "collect.example.org",
        "http://",
        "http:///x",
        "http://user:password@collect.example.org",
        "https://collect.example.org@evil.test",
        "https://collect.example.org/?next=x",
        "https://collect.example.org/#x",
        "https://collect.example.org/a b",
        "https://collect.example.org/>)[x](javascript:alert(1)",
        'https://collect.example.org/"onclick="alert(1)',
        "https://collect.example.org\\@evil.test",
        "https://collect.example.org\nhttps://evil.test",
        " https://collect.example.org",
        "https://collect.example.org\n",
        "https://collect.example.org//evil.test",
        "https://collect.example.org:0",
        "https://collect.example.org:99999",
        "https://[::1",
        "https://collect.example.org/\u202e",
        "https://\u0441ollect.example.org",
        "https://collect.example.org/" + "a" * 1000,
    ],
)
def test_what_is_no_address_of_a_console(url: str) -> None:
    """Other schemes, users, queries, and whatever could end a link or lead elsewhere than it says."""
    assert not is_console_address(url)


@given(st.text(max_size=40) | st.from_regex(r"https?://[^\n]{0,30}", fullmatch=True))
def test_an_accepted_address_is_one_link(url: str) -> None:
    """Whatever is accepted is, as Markdown, exactly one link, which leads to it."""
    if is_console_address(url):
        page = ConsoleLinks(url.rstrip("/")).job("job")
        tokens = MarkdownIt("commonmark").parse(markdown_link("x", page))
        assert [child.type for child in tokens[1].children or []] == ["link_open", "text", "link_close"]
        assert str((tokens[1].children or [])[0].attrs["href"]) == f"{url.rstrip('/')}/jobs/job"


def test_a_job_s_id_is_only_a_part_of_the_path() -> None:
    """Whatever the id is, the address stays below the job's."""
    assert ConsoleLinks("http://c").package("../x?y#z") == "http://c/jobs/..%2Fx%3Fy%23z/package"
