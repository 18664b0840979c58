"""What is said of an export's parameters, wherever one asks for them: the command line, the forms and the console.

The docstrings of the flow and of the Python API say the same; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXPORT_TEXTS: Final[Mapping[str, str]] = {
    "sha512": "Put SHA-512 manifests into the bag too; every item is read for it.",
    "portable_names": "Rename items whose names Windows or macOS cannot unpack; items.csv has the original names.",
    "load_file": "How a load file is made: its numbers, columns, encoding and volumes.",
    "bag": "What a bag has beside: tags in bag-info.txt, and the BagIt profile that it conforms to.",
    "mail": "How mail is made: as mbox or EML files, and how large these get.",
    "dataset": "How a dataset is made: as Parquet or CSV, and how its folders are named.",
    "deduplicate": 'Deliver items with the same bytes once: "global": one in all; "custodian": one for each custodian. '
    "The package lists the others, with their custodians and paths.",
    "duplicates_of": "The ids of earlier jobs in the same staging store: items with the bytes of theirs are marked, "
    "and with deduplicate not delivered if such an export delivered them.",
}
"""The text of each parameter that says how a package is made, beside its format (`FORMAT_WORDS`)."""
