"""What Prefect's server does in place of a good answer, in words for a log line."""

from __future__ import annotations

from typing import Final

import httpx

from prefect_collect.escaping import one_line

_BUSY: Final = 503
_PROXY: Final = (502, 504)


def trouble_of(error: httpx.HTTPError) -> str:
    """Return what the server does, to follow "Prefect's server": it "is busy (503)", or "does not answer: …".

    The text of an answer's error is not repeated: httpx appends a link to it, and Prefect's client the whole answer.
    """
    if not isinstance(error, httpx.HTTPStatusError):
        return f"does not answer: {one_line(str(error)) or type(error).__name__}"
    status = error.response.status_code
    if status == _BUSY:
        return f"is busy ({status})"
    if status in _PROXY:
        return f"is not reached by the proxy before it ({status})"
    return f"failed ({status})" if error.response.is_server_error else f"refused the request ({status})"
