"""One attempt of an export: bind the collection, build the package, and account for every item of it."""
