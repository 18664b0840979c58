"""Folders of a file system."""
