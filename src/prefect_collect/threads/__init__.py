"""The threads of an attempt: the stop, the progress, thread pools, calls that may be abandoned, and the byte budget."""

import logging

# stamina logs every scheduled retry; without a handler Python would print them on standard error.
logging.getLogger("stamina").addHandler(logging.NullHandler())
