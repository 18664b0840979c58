"""The folder that the demonstration collects: a copy in which one file cannot be read until it is repaired."""

from __future__ import annotations

import os
import shutil
import sysconfig
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from prefect_collect.errors import UsageError

MARK: Final = ".prefect-collect-demo"
"""The name of an empty file that marks the folder of a demonstration."""

_LEFT_OUT: Final = ("site-packages", "dist-packages")


def standard_library() -> Path:
    """Return the folder of this Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def prepare(folder: Path) -> Path:
    """Create the demonstration's folder, and return it: it has another name if an earlier demonstration is there.

    Nothing of an earlier one is touched: its evidence stays. Raise UsageError if it is another folder that is not
    empty.
    """
    for number in count(1):
        new = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        if not (new / MARK).exists():
            break
    if new.is_dir() and any(new.iterdir()):
        raise UsageError(
            f"The folder is not empty, and not from a demonstration; name another with `prefect-collect demo DIR`. "
            f"[{new}]"
        )
    new.mkdir(parents=True, exist_ok=True)
    (new / MARK).touch()
    return new


def copy_tree(tree: Path, to: Path) -> int:
    """Copy a folder (links as their targets), and return the number of files. Raise UsageError if it has none."""
    if not tree.is_dir():
        raise UsageError(f"There is no such folder to copy; name another with --tree. [{tree}]")
    own = {to.resolve(), *to.resolve().parents}

    def left_out(folder: str, names: list[str]) -> list[str]:
        return [
            name for name in names if name in _LEFT_OUT or (Path(folder) / name).resolve() in own - {tree.resolve()}
        ]

    try:
        shutil.copytree(tree, to, ignore=left_out, ignore_dangling_symlinks=True)
    except shutil.Error as error:
        path, _, why = error.args[0][0]
        raise UsageError(f"Not all of the tree can be copied: {why}. Name another with --tree. [{path}]") from error
    files = sum(len(names) for _, _, names in os.walk(to))
    if files == 0:
        raise UsageError(f"There are no files to collect; name another folder with --tree. [{tree}]")
    return files


@dataclass(frozen=True)
class Damage:
    """A file that cannot be read until it is repaired; `how` and `repair` are the commands that do either."""

    path: Path
    how: str
    repair: str
    mode: int
    aside: Path | None = None

    def undo(self) -> None:
        """Repair the file."""
        if self.aside is None:
            self.path.chmod(self.mode)
        else:
            self.path.unlink()
            self.aside.rename(self.path)


def damage(root: Path) -> Damage:
    """Make one file of the folder unreadable: by its permissions, or, for root, as a link to a missing target."""
    path = _victim(root)
    mode = path.stat().st_mode & 0o7777
    path.chmod(0)
    if not _readable(path):
        return Damage(path, f"chmod 000 {path}", f"chmod {mode:o} {path}", mode)
    path.chmod(mode)
    aside = root.parent / f"{path.name}.aside"
    path.rename(aside)
    gone = Path("..") / f"{path.name}.gone"
    path.symlink_to(gone)
    return Damage(path, f"mv {path} {aside}; ln -s {gone} {path}", f"mv {aside} {path}", mode, aside)


def _victim(root: Path) -> Path:
    """Return a file from the middle of the folder that is not empty."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_size)
    if not files:
        raise UsageError(f"All files are empty; name another folder with --tree. [{root}]")
    known = root / "json" / "decoder.py"
    return known if known in files else files[len(files) // 2]


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
