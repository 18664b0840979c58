"""The console's address in Prefect, and the artifacts that link to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate
from prefect.exceptions import ObjectNotFound

from prefect_collect import FileSource, collect, jobs
from prefect_collect.cli import _console
from prefect_collect.console.server import ConsoleOptions
from prefect_collect.errors import UsageError
from prefect_collect.runs import console_address
from prefect_collect.runs.console_address import VARIABLE, console_links, entered_address
from tests.integration.artifacts.test_live_page import versions
from tests.integration.prefect_server import PrefectServer

pytestmark = pytest.mark.integration

SETTING = "PREFECT_INTEGRATIONS_COLLECT_CONSOLE_URL"
LISTENING, PUBLIC = "http://127.0.0.1:4280", "https://collect.example.org/console"


@pytest.fixture(autouse=True)
def prefect(prefect_server: PrefectServer) -> Iterator[None]:
    """A server that knows no console."""
    with prefect_server.used():
        forget()
        yield
        forget()


def forget() -> None:
    """Remove the Variable, and what this process knows of it."""
    with get_client(sync_client=True) as client, suppress(ObjectNotFound):
        client.delete_variable_by_name(VARIABLE)
    console_address._known.clear()


def entered() -> Any:
    """Return the Variable's value and tags; None if there is none."""
    with get_client(sync_client=True) as client:
        found = client.read_variable_by_name(VARIABLE)
    return None if found is None else (found.value, found.tags)


def set_by_user(value: object) -> None:
    """Set the Variable as a user does in Prefect's UI."""
    with get_client(sync_client=True) as client:
        client.create_variable(VariableCreate(name=VARIABLE, value=value))  # type: ignore[arg-type]
    console_address._known.clear()


def known() -> str | None:
    """Return the address that pages link to."""
    links = console_links()
    return None if links is None else links.url


def test_an_address_that_was_not_chosen_is_known_while_it_is_served() -> None:
    """It is there while the console is; a console that was started later keeps its own at the end of the first."""
    assert known() is None
    with entered_address(f"{LISTENING}/", is_chosen=False) as why:
        assert (why, known(), entered()) == ("", LISTENING, (LISTENING, ["while-served"]))
        with entered_address("http://127.0.0.1:4281", is_chosen=False):
            assert known() == "http://127.0.0.1:4281"
            console_address._known.clear()
        assert known() is None
    first, second = entered_address(LISTENING, is_chosen=False), entered_address("http://[::1]:1", is_chosen=False)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert known() == "http://[::1]:1"
    second.__exit__(None, None, None)
    assert known() is None


def test_a_chosen_address_stays_and_is_not_replaced() -> None:
    """A public address outlasts its console, which may start anew, and a console beside `serve` leaves it."""
    with entered_address(PUBLIC, is_chosen=True) as why:
        assert (why, known()) == ("", PUBLIC)
        with entered_address(LISTENING, is_chosen=False) as why:
            assert PUBLIC in why
            assert known() == PUBLIC
    assert (known(), entered()) == (PUBLIC, (PUBLIC, []))
    with entered_address("https://other.example.org", is_chosen=True):
        assert known() == "https://other.example.org"


def test_what_a_user_sets_is_kept() -> None:
    """A Variable that a user has set counts as chosen."""
    set_by_user(PUBLIC)
    with entered_address(LISTENING, is_chosen=False) as why:
        assert PUBLIC in why
    assert entered() == (PUBLIC, [])


def test_the_setting_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the setting names an address, pages that are made there link to that; nonsense links to nothing."""
    set_by_user(PUBLIC)
    monkeypatch.setenv(SETTING, "http://desk.example.org:1/")
    assert known() == "http://desk.example.org:1"
    monkeypatch.setenv(SETTING, "javascript:alert(1)")
    assert known() is None


@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "https://x/)[y](javascript:z", {"url": PUBLIC}, 7, [PUBLIC], ""]
)
def test_no_page_links_to_nonsense(value: object) -> None:
    """A Variable that is no http or https address is as none."""
    set_by_user(value)
    assert known() is None


def test_a_console_of_one_machine_is_not_entered_at_a_server_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others would be led to their own 127.0.0.1; a console that is reached by a name is entered."""
    shared = "http://prefect.example.org/api"
    assert "--public-url" in console_address._reason_against(LISTENING, shared, None)
    assert "--public-url" in console_address._reason_against("http://[::1]:4280", shared, None)
    assert console_address._reason_against("http://desk.example.org:4280", shared, None) == ""
    for server in ("http://127.0.0.1:4200/api", "http://localhost:4200/api", "http://[::1]:4200/api"):
        assert console_address._reason_against("http://localhost:4280", server, None) == ""


def test_the_commands_enter_what_they_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A console without a public address enters where it listens; with one, that, and it is the address it prints."""
    said: list[str] = []
    with _console._linked_console(ConsoleOptions(port=0), said.append):
        assert said[0] == f"Console: {known()}/"
    assert known() is None
    options = ConsoleOptions(port=0, public_url=_console._public_url(f"{PUBLIC}/", ""))
    with _console._linked_console(options, said.append):
        assert known() == PUBLIC
        assert said[-1].startswith(f"Log in: {PUBLIC}/login?token=")
    monkeypatch.setenv(SETTING, "https://set.example.org")
    assert _console._public_url(None, "") == "https://set.example.org"
    assert _console._public_url(PUBLIC, "/console/") == PUBLIC
    for wrong, root in (("javascript:x", ""), (PUBLIC, "/other"), ("https://a.example.org", "/console")):
        with pytest.raises(UsageError, match="public"):
            _console._public_url(wrong, root)


def test_what_a_job_shows_links_to_the_console(tmp_path: Path) -> None:
    """Page, errors and report of a whole job link to the console that was entered, and nothing else."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to("nothing")
    with entered_address(LISTENING, is_chosen=False):
        source = FileSource(root=tmp_path / "root", follow_symlinks=True, name="linked")
        state: Any = collect(source=source, store=tmp_path / "store", return_state=True)
    job = jobs.get(state.state_details.flow_run_id)
    page = f"{LISTENING}/jobs/{job.id}"
    [shown] = versions(f"job-{job.id}")
    assert f"[Open this job in the console](<{page}>)" in shown.data
    reports = f"[errors.csv](<{page}/errors.csv?attempt=1>), [errors.parquet](<{page}/errors.parquet?attempt=1>)"
    for key in ("job", "errors", "report"):
        [artifact] = versions(f"{key}-{job.id}")
        assert reports in artifact.data
        assert "file:" not in artifact.data
