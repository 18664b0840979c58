"""The examples of the documentation's pages, and a terminal in which a test runs them.

A block of `sh` or `python` is an example that a test runs, unless a comment before it says `<!-- not run: why -->` or
`<!-- run by FILE -->`. `<!-- ends with CODE -->` says with what code its last command ends, if not with 0.
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Self

from tests import forked

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
RUN: Final = {
    "sh": (
        "README.md",
        "docs/bags.md",
        "docs/chain-of-custody.md",
        "docs/command-line.md",
        "docs/duplicates.md",
        "docs/loadfile.md",
        "docs/mail.md",
        "docs/ocfl.md",
        "docs/operating.md",
        "docs/tutorial.md",
    ),
    "python": ("README.md", "docs/operating.md", "docs/python.md"),
}
"""The pages whose examples `tests/integration/test_examples.py` runs, by language."""

_BLOCK: Final = re.compile(r"(?:<!-- ([^\n]+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
_PROGRAM: Final = str(Path(sysconfig.get_path("scripts")) / "prefect-collect")


@dataclass(frozen=True)
class Example:
    """A block of a page: its language, its text, the code with which its last command ends, and the comment on it."""

    language: str
    text: str
    code: int = 0
    comment: str = ""

    @property
    def is_run_here(self) -> bool:
        """True unless the comment says that it is not run, or run by another test."""
        return not self.comment.startswith(("not run:", "run by "))


def all_examples(page: str) -> list[Example]:
    """Return the blocks of `sh` and `python` of a page, named from the repository's root."""
    found = []
    for comment, language, text in _BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        if language in RUN:
            code = re.fullmatch(r"ends with (\d+)", comment)
            found.append(Example(language, text, int(code[1]) if code else 0, comment))
    return found


def examples(page: str) -> list[Example]:
    """Return the examples of a page that are to be run."""
    return [example for example in all_examples(page) if example.is_run_here]


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str = ""


Program = Callable[[list[str], Path], Done]
"""Runs `prefect-collect` with these words in a folder."""


class Terminal:
    """A shell that keeps its folder and its variables from command to command, as a reader's does.

    `prefect-collect` is run as a fork (tests/forked.py), or by `program`, in the shell's folder and with the words that
    the shell makes of the command; everything else is run by the shell.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], program: Program | None = None) -> None:
        self._environment = dict(environment)
        self._program = program or self._forked
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=folder, env=self._environment,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shell.kill()
        self._shell.communicate()

    def run(self, command: str) -> Done:
        """Run one line, and wait for its end."""
        program, _, rest = command.strip().partition(" ")
        if program != "prefect-collect":
            return self.shell(command)
        rest, _, file = rest.partition(" > ")
        words, folder = self._words(rest), Path(self.shell("pwd").out.strip())
        done = self._program(words, folder)
        if file:
            (folder / file).write_text(done.out)
        return done

    def _forked(self, words: list[str], folder: Path) -> Done:
        done = forked.run(
            [_PROGRAM, *words],
            capture_output=True,
            text=True,
            cwd=folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def run_python(self, text: str, program: Path) -> Done:
        """Run a Python program in the shell's folder."""
        program.write_text(text)
        folder = self.shell("pwd").out.strip()
        done = forked.run(
            [sys.executable, str(program)], capture_output=True, text=True, cwd=folder, env=self._environment
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def shell(self, command: str) -> Done:
        """Have the shell itself run a line."""
        to, said = self._pipes()
        to.write(f"{command}\n__code=$?; echo; echo __ended__ $__code\n")
        to.flush()
        lines: list[str] = []
        for line in said:
            if line.startswith("__ended__ "):
                return Done(int(line.split()[1]), "".join(lines).removesuffix("\n"))
            lines.append(line)
        raise AssertionError(f"the shell has ended: {command}\n{''.join(lines)}")

    def _words(self, text: str) -> list[str]:
        """Return the words that the shell makes of this: quotes, `~`, globs, variables."""
        encoded = self.shell(f"printf '%s\\0' {text} | base64 -w0").out
        return base64.b64decode(encoded).decode().split("\0")[:-1]

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        return self._shell.stdin, self._shell.stdout
