"""The EDRM message identification hash (EDRM MIH), by which receivers find one message in productions of other systems.

The specification is EDRM's (version 1.0, 2023); its rules, as those who took part in it publish them:

- it is the MD5 of the ASCII string of the Message-ID:
  https://documentation.nuix.com/en/content/server/general/projects_frameless/Nuix%20Neo%20Solutions/1_one/word_import/Deduplicate_emails_using_EDRM_MIH_hashing.htm
- the value has the form ``<`` id-left ``@`` id-right ``>``, with both brackets, and is not altered in any way; of
  several values the first one counts; a message without a valid one has no hash:
  https://www.revealdata.com/knowledgebase/reveal/edrm-message-id-hash-edrm-mih
- the same example, in small hexadecimal digits, is published there and at
  https://help.relativity.com/RelativityOne/Content/Relativity/Processing/Processing_duplication_workflow_EDRM.htm
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_FIRST: Final = re.compile(r"[ \t]*+(<[!-;=?A-~]++@[!-;=?-~]++>)")
"""The first Message-ID of a field: printable ASCII between two brackets, with an @ in it, and no blank.

Its time does not grow faster than the text: `verify` reads texts that others wrote.
"""

_REPLACED: Final = ("(R)", "?")
"""What load files write for characters that a reader would take for others, or that their encoding lacks."""


def edrm_mih(message_id: str) -> str:
    """Return the hash (hex) of a Message-ID as a message states it; "" if it is not a hash."""
    found = _FIRST.match(message_id)
    return "" if found is None else hashlib.md5(found[1].encode("ascii"), usedforsecurity=False).hexdigest()


def is_edrm_mih(digest: str, message_id: str) -> bool:
    """Return whether a load file's hash can be that of the Message-ID that stands beside it.

    What a load file replaces in a text is in no Message-ID, so that a text with a replacement may have no hash.
    """
    return digest == edrm_mih(message_id) or (not digest and any(sign in message_id for sign in _REPLACED))
