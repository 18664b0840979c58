"""What other systems exported: their files and messages as items, checked against the lists that the exports bring.

An export's own lists (metadata, checksums, errors) are read first; then its files are listed, and what the lists name
and the files do not hold is an item that failed. Everything is read through a source of files (`containers.tree`).
"""
