"""The threads of an attempt: the stop, the progress, thread pools, calls that may be abandoned, and the byte budget."""
