"""One attempt of an export: binds the collection, builds the package, and accounts for every item of it."""
