"""OCFL objects: one for each data source, with a version for each export.

ocfl-py, by which the tests judge these objects, makes a version of a folder of files, so all items would have to be
written there first. Here an item is written once, from its segment to its place in the folder or bucket.
"""
