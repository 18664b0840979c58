"""Process identities: which process they name, and whether it still runs, tested with real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.job_folder.process_identity import is_alive, is_gone, this_process


def identity(pid: int) -> dict[str, Any]:
    """Return what `this_process` returns in that process, with its start read directly from proc(5)."""
    started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return {**this_process(), "pid": pid, "pid_started": started}


def test_this_process_is_alive() -> None:
    """An identity has the values in proc(5), and names a process that runs."""
    assert this_process() == identity(os.getpid())
    assert is_alive(this_process())
    assert not is_gone(this_process())


def test_an_ended_process_is_gone() -> None:
    """A killed process is gone, also while its parent has not read its exit code (a zombie)."""
    with subprocess.Popen(["sleep", "600"]) as process:
        named = identity(process.pid)
        assert is_alive(named)
        assert not is_gone(named)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(named)
        assert not is_alive(named)
    assert is_gone(named)
    assert not is_alive(named)


def test_another_process_of_the_same_pid_is_not_taken_for_it() -> None:
    """A pid that was given to a later process no longer names the earlier one."""
    earlier = {**this_process(), "pid_started": this_process()["pid_started"] - 1}
    assert is_gone(earlier)
    assert not is_alive(earlier)


@pytest.mark.parametrize(
    ("changed", "gone"),
    [
        ({"host": "another"}, False),
        ({"pid_space": "pid:[1]"}, False),
        ({"boot": "another", "machine": "another"}, False),
        ({"boot": "another", "machine": "this"}, True),
    ],
)
def test_a_process_of_elsewhere(changed: dict[str, str], gone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another machine or PID namespace nothing is known here; of another boot of this machine all are gone."""
    monkeypatch.setattr("prefect_collect.job_folder.process_identity._machine", lambda: "this")
    process = {**this_process(), **changed}
    assert is_gone(process) is gone
    assert not is_alive(process)


HIDDEN = """
import json, os, sys
from prefect_collect.job_folder.process_identity import is_alive, is_gone, this_process
processes = json.load(sys.stdin)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print([is_gone(each) for each in processes], [is_alive(each) for each in processes], is_alive(this_process()))
"""


@pytest.mark.parametrize("hidepid", ["1", "2"])
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root can mount another /proc")
def test_a_hidden_process_is_not_gone(hidepid: str) -> None:
    """Where /proc hides the processes of others (hidepid), one that runs does not count as gone."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    processes = [this_process(), {**this_process(), "pid": ended.pid}]
    mounted = f'mount -t proc -o hidepid={hidepid} proc /proc && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", sys.executable, "-c", HIDDEN],
        input=json.dumps(processes), capture_output=True, text=True,
    )  # fmt: skip
    if "mount" in done.stderr and "permi" in done.stderr.lower():
        pytest.skip(done.stderr)
    assert done.stdout.strip() == "[False, True] [False, False] True", done.stderr
