"""The threads of an attempt: the stop, the progress, thread pools, calls that may be abandoned, and the byte budget."""

import logging

# stamina logs every retry that it schedules as a warning. Retries here are part of the work; set the level to see them.
logging.getLogger("stamina").setLevel(logging.ERROR)
