"""OCFL objects: one for each data source, with a version for each export."""
