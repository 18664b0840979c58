"""Files that hold items: the files of a folder or bucket, the entries of ZIP files, and how each is read by ranges."""
