"""Files that others may have written or changed, read within bounds of size, depth and kind."""
