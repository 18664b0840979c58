"""Readers of files that others may have written or changed, within bounds of size, depth and kind."""
