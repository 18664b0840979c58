"""The files of a package, of a ZIP file, a folder or a store, and their index."""
