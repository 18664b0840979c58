"""Which ciphers ``ssh`` offers first: AES-GCM, which processors with AES instructions compute in half the time.

OpenSSH begins with ChaCha20-Poly1305, which is as good and serves processors without these instructions. Of one
connection, which is encrypted by one core at each end, the cipher is most of the work with large files.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

_PREFERRED: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_CPU: Final = Path("/proc/cpuinfo")
_PATIENCE: Final = 20


@cache
def cipher_options(begun: tuple[str, ...], host: str) -> tuple[str, ...]:
    """Return the options by which AES-GCM is tried first, and all other ciphers as ever.

    There are none if the user's or the system's configuration chooses ciphers, if the processor has no AES
    instructions, or if ``ssh`` does not say what it would do.

    Args:
        begun: The beginning of the command.
        host: The host, or an alias of the configuration.
    """
    if not _has_aes():
        return ()
    usual = _ciphers((begun[0], "-F", "none", "-G", "--", "host"))
    if not usual or usual != _ciphers((*begun, "-G", "--", host)):
        return ()
    first = [cipher for cipher in _PREFERRED if cipher in usual]
    return ("-o", f"Ciphers={','.join([*first, *(cipher for cipher in usual if cipher not in first)])}")


@cache
def _has_aes() -> bool:
    try:
        return re.search(r"^(flags|Features)\s*:.*\baes\b", _CPU.read_text(), re.MULTILINE) is not None
    except OSError:
        return False


def _ciphers(command: tuple[str, ...]) -> list[str]:
    """Return the ciphers that a command would offer, the first one first; none if it does not say so."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = re.search(rb"^ciphers (.+)$", done.stdout, re.MULTILINE)
    return found[1].decode(errors="replace").split(",") if found is not None else []
