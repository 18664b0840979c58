"""The file of a package that lists the hashes of all its others: its SHA-256 is the package's fingerprint."""

from __future__ import annotations

from typing import Final

BAG_SEAL: Final = "tagmanifest-sha256.txt"
"""The file of a bag that lists the hashes of all others, directly or by the manifests that it lists."""

GROUP_SEAL: Final = "group-sha256.txt"
"""The file of a group of bags that lists the hashes of all others."""

SET_SEAL: Final = "manifest-sha256.txt"
"""The file of a load file, a mail set or a dataset that lists the hashes of all others."""
