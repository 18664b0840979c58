"""Make docs/demo.svg: `python -m tools.demo_picture` runs the demonstration in a terminal and draws its output."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import sysconfig
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "docs" / "demo.svg"
COLUMNS = 140
PROGRAM = str(Path(sysconfig.get_path("scripts")) / "prefect-collect")
# A progress bar hides the cursor and is erased at its end; one frame from its middle is kept.
BAR = re.compile(r"\x1b\[\?25l(.*?)\x1b\[\?25h(?:\r?\n)?(?:\r?\x1b\[1A\x1b\[2K)?", re.DOTALL)


def shown(folder: str) -> str:
    """Return what the demonstration prints to a terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": str(COLUMNS)})
        os.environ.pop("PREFECT_API_URL", None)
        os.environ["PATH"] = f"{Path(PROGRAM).parent}{os.pathsep}{os.environ['PATH']}"
        os.execv(PROGRAM, ["prefect-collect", "demo", "demo"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    data = b""
    while chunk := _read(terminal):
        data += chunk
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        sys.exit(data.decode())
    return data.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux raises this when the other side is closed.
        return b""


def _frame(match: re.Match[str]) -> str:
    frames = [frame for frame in re.split(r"\r?\x1b\[2K", match[1]) if frame.strip()]
    moving = [frame for frame in frames if "0 of" not in Text.from_ansi(frame).plain[:60]]
    return f"{(moving or frames)[len(moving or frames) // 2].strip()}\n"


def main() -> None:
    """Run the demonstration and draw it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        text = BAR.sub(_frame, shown(folder)).replace("\r\n", "\n").replace(folder, "/home/you")
    text = text.replace(sys.base_prefix, "/usr")
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text.from_ansi(f"$ prefect-collect demo demo\n{text.rstrip()}"))
    svg = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="prefect-collect demo"), flags=re.DOTALL)
    PICTURE.write_text(svg)


if __name__ == "__main__":
    main()
