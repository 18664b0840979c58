"""Run the targets under atheris, which looks for bytes that reach new code: ``make fuzz``.

    python -m tests.fuzz SECONDS [TARGET…]

Each target runs in a process of its own for so many seconds. What it found stays in ``.fuzz/TARGET``; bytes that ended
in an error that is not ours, took over 20 s or over 1 GiB are in ``.fuzz/TARGET-crash-…``, and the exit code is then 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(".fuzz")


def fuzz(name: str, seconds: str) -> None:
    """Fuzz one target. Ends the process."""
    import atheris

    with atheris.instrument_imports(include=["prefect_collect"]):
        from tests.fuzz.targets import TARGETS
    target, corpus = TARGETS[name], FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=1024", "-max_len=8192"]
    quiet = ["-verbosity=0", "-print_final_stats=1", f"-artifact_prefix={FOLDER / name}-"]
    atheris.Setup([sys.argv[0], *limits, *quiet, str(corpus)], target)
    atheris.Fuzz()


def main(seconds: str, *names: str) -> int:
    """Fuzz the targets, one after the other."""
    from tests.fuzz.targets import TARGETS

    failed = []
    for name in names or TARGETS:
        print(f"{name}: {seconds} s", flush=True)
        done = subprocess.run([sys.executable, "-m", "tests.fuzz", seconds, name], env=os.environ | {"FUZZ": "1"})
        if done.returncode:
            failed.append(name)
    print(f"found something: {', '.join(failed)}" if failed else "nothing was found", flush=True)
    return bool(failed)


if __name__ == "__main__":
    if os.environ.get("FUZZ"):
        fuzz(sys.argv[2], sys.argv[1])
    else:
        sys.exit(main(*sys.argv[1:]))
