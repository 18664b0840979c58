"""Commands without a configured Prefect server: one is started for the command, and stopped with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Command, until
from tests.integration.faults import FaultProxy
from tests.integration.jobs.dying_processes import run_dying
from tests.integration.migrated import put_database
from tests.integration.servers import S3Server

pytestmark = pytest.mark.integration


def _processes_of(home: Path) -> list[int]:
    """Return the processes that run with that PREFECT_HOME."""
    wanted = f"PREFECT_HOME={home}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_a_server_for_one_command(command: Command, tmp_path: Path) -> None:
    """The command says that it starts a server, works, and leaves no process; later commands show its job."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_bytes(b"a")
    alone = command.without_server(tmp_path / "home")
    done = alone("collect", tmp_path / "files", "--json")
    assert done.code == 0, done.err
    assert "Starting Prefect's server" in done.err
    assert "PREFECT_API_URL" in done.err
    assert done.json["error_report"].startswith(str(tmp_path / "home" / "collect"))
    assert _processes_of(tmp_path / "home") == []
    assert [job["job_id"] for job in alone("jobs", "--json").json] == [done.json["job_id"]]


def test_a_server_ends_with_a_killed_command(
    command: Command, seaweedfs: S3Server, fault_proxy: Callable[[S3Server], FaultProxy], tmp_path: Path
) -> None:
    """The server ends also when the command is killed and cannot end it."""
    proxy, bucket = fault_proxy(seaweedfs), seaweedfs.new_bucket()
    proxy.hang_next(1000, method="GET", path=bucket)
    home = tmp_path / "home"
    put_database(home)
    alone = command.without_server(home).with_environment(**seaweedfs.at(proxy.url).environment())
    process = alone.start("collect", f"s3://{bucket}")
    until(lambda: proxy.count("GET", bucket) or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    assert _processes_of(home)
    process.kill()
    process.communicate(timeout=60)
    proxy.release()
    until(lambda: not _processes_of(home))


def test_a_job_killed_between_its_result_and_its_state(command: Command, tmp_path: Path) -> None:
    """A retry gives it the status of its result, and as that does not offer a retry, ends with its exit code."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_bytes(b"a")
    put_database(tmp_path / "home")
    alone, store = command.without_server(tmp_path / "home"), str(tmp_path / "store")
    words = ["collect", str(tmp_path / "files"), "--store", store]
    at = "state COMPLETED Successfully completed #1"
    died = run_dying(alone.environment, tmp_path / "reports", "command", *words, at=at, patience=200)
    assert died.code == -9, died.said
    until(lambda: not _processes_of(tmp_path / "home"))  # its server
    done = alone("retry", died.runs[-1], "--store", store, "--json")
    assert (done.code, done.json["status"]) == (0, "Successfully completed"), done.err


def test_the_demonstration(command: Command, tmp_path: Path) -> None:
    """`demo` shows a failure, repairs it, retries one item, and ends with a package that is valid."""
    tree = tmp_path / "tree"
    (tree / "json").mkdir(parents=True)
    for name in ("a.py", "b.py", "json/decoder.py"):
        (tree / name).write_text(f"# {name}\n")
    done = command.with_environment()("demo", tmp_path / "demo", "--tree", tree)
    assert done.code == 0, done.err
    for said in ("Partially completed", "1 failed", "1 item tried", "Successfully completed", "Valid: 3 items"):
        assert said in done.out
    [look] = [line.split()[1] for line in done.out.splitlines() if line.strip().startswith("look ")]
    assert look == "prefect-collect" or Path(look).is_file()
    assert (tree / "json" / "decoder.py").read_text() == "# json/decoder.py\n"
    again = command("demo", tmp_path / "demo", "--tree", tree, "--json")
    assert again.code == 0, again.err
    assert (again.json["valid"], again.json["tried_again"]) == (True, 1)
    assert (again.json["collection"]["succeeded"], again.json["collection"]["failed"]) == (3, 0)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious").write_text("")
    refused = command("demo", mine, "--tree", tree)
    assert refused.code == 2
    assert "not from a demonstration" in refused.error
