"""The import of every block, also of the sources of other packages, so that Prefect knows the classes of saved blocks.

The entry point ``prefect.collections`` names this module, and Prefect loads it before it first looks up a block's
class; `import prefect_collect.blocks` itself imports no block and stays fast.
"""

from __future__ import annotations

from typing import Final

from prefect_collect import blocks
from prefect_collect.blocks.kinds import load_others

REGISTERED: Final = tuple(getattr(blocks, name) for name in blocks.__all__)
"""What `prefect_collect.blocks` exports, imported."""

load_others()
