"""Globs: `prefect_collect.sources.globs` beside wcmatch and pathspec, in speed and in the cost of hostile patterns.

    pip install wcmatch
    python -m benchmarks.globs

Prints Markdown: microseconds per name for lists of patterns of several lengths, and seconds for patterns that make a
matcher try again and again, each in a process that is ended after `PATIENCE` seconds.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

Match = Callable[[str], Any]

PATIENCE: Final = 20.0
_NAMES: Final = 100_000
_MOST_SECONDS: Final = 5.0
"""Seconds after which a measurement ends, with the names that were matched by then."""

_FOLDERS: Final = ("invoice", "mail", "scan", "report", "draft", "contract", "q3", "2024", "archive", "x")


def _ours(patterns: Sequence[str]) -> Match:
    from prefect_collect.sources.globs import compile_globs

    compiled = compile_globs(patterns, field="include")
    assert compiled is not None
    return compiled.match


def _wcmatch(patterns: Sequence[str]) -> Match:
    from wcmatch import glob  # type: ignore[import-not-found]

    flags = glob.GLOBSTAR | glob.DOTGLOB | glob.FORCEUNIX | glob.MATCHBASE
    matcher: Match = glob.compile(patterns, flags=flags, limit=0).match
    return matcher


def _pathspec(patterns: Sequence[str]) -> Match:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(patterns).match_file


CONTENDERS: Final = {"ours": _ours, "wcmatch": _wcmatch, "pathspec": _pathspec}

HOSTILE: Final = {
    "`*a`, twelve times, and `*b`": ("*a" * 12 + "*b", "a" * 2000),
    "`a/**/`, four times, and `b`": ("**/" + "a/**/" * 4 + "b", "a/" * 100 + "c"),
    "`a/**/`, twelve times, and `b`": ("**/" + "a/**/" * 12 + "b", "a/" * 500 + "c"),
    "four folders of `*a*a*a*a*b`": ("/".join(["*a*a*a*a*b"] * 4), "/".join(["a" * 250] * 4)),
}


def _names(seed: int) -> Iterator[str]:
    choose = random.Random(seed)
    while True:
        folders = (f"{choose.choice(_FOLDERS)}{choose.randrange(1000)}" for _ in range(choose.randrange(1, 6)))
        yield "/".join(folders) + choose.choice([".pdf", ".eml", ".docx", ".tmp"])


def _some(count: int, seed: int) -> list[str]:
    return [name for _, name in zip(range(count), _names(seed), strict=False)]


def _lists() -> dict[str, list[str]]:
    return {
        "1 pattern": ["*.pdf"],
        "4 patterns": ["*.pdf", "mail*/**", "**/archive*/*.eml", "/scan*/x*"],
        "1,000 patterns": [f"{folder}{number}/**/*.pdf" for number in range(100) for folder in _FOLDERS],
        "100,000 paths": _some(100_000, 2),
    }


def _speed(
    make: Callable[[Sequence[str]], Match], patterns: Sequence[str], names: Sequence[str]
) -> tuple[float, float]:
    """Return the seconds to compile, and the microseconds per name."""
    begun = time.perf_counter()
    match = make(patterns)
    compiled = time.perf_counter()
    done = 0
    for done, name in enumerate(names, 1):  # noqa: B007
        match(name)
        if time.perf_counter() - compiled > _MOST_SECONDS:
            break
    return compiled - begun, (time.perf_counter() - compiled) / done * 1e6


def _once(contender: str, pattern: str, path: str) -> None:
    CONTENDERS[contender]([pattern])(path)


def _hostile(contender: str, pattern: str, path: str) -> str:
    """Return the seconds that one match takes, as text."""
    process = multiprocessing.get_context("fork").Process(target=_once, args=(contender, pattern, path))
    begun = time.perf_counter()
    process.start()
    process.join(PATIENCE)
    took = time.perf_counter() - begun
    if process.is_alive():
        process.kill()
        return f"over {PATIENCE:g} s"
    return f"{took:.2f} s" if process.exitcode == 0 else "error"


def main() -> None:
    """Print the two tables."""
    said = ", ".join(f"{name} {version(name)}" for name in ("prefect-collect", "wcmatch", "pathspec"))
    sys.stdout.write(f"{said}; Python {sys.version.split()[0]}\n\n")
    sys.stdout.write(f"| patterns | {' | '.join(CONTENDERS)} |\n| --- {'| ---: ' * len(CONTENDERS)}|\n")
    names = _some(_NAMES, 1)
    for title, patterns in _lists().items():
        cells = []
        for make in CONTENDERS.values():
            compiled, each = _speed(make, patterns, names)
            cells.append(f"{each:,.1f} µs a name (compiled in {compiled:.1f} s)")
        sys.stdout.write(f"| {title} | {' | '.join(cells)} |\n")
    sys.stdout.write(f"\n| hostile | {' | '.join(CONTENDERS)} |\n| --- {'| ---: ' * len(CONTENDERS)}|\n")
    for title, (pattern, path) in HOSTILE.items():
        cells = [_hostile(contender, pattern, path) for contender in CONTENDERS]
        sys.stdout.write(f"| {title} | {' | '.join(cells)} |\n")


if __name__ == "__main__":
    main()
