"""Threads of an attempt: when to stop, how far it is, pools, calls that may be abandoned, bytes in memory."""
