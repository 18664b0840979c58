"""Load files for review platforms: how they are built and checked."""
