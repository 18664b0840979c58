"""Archives: ZIP64 records, segment files, and the paths of items in them."""
