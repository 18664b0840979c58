"""Groups of bags (RFC 8493, Bag-Group-Identifier and Bag-Count): how they are built and checked."""
