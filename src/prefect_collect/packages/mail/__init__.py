"""Packages of mail: mbox or EML files, with an index."""
