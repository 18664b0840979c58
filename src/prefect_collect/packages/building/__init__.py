"""What every format needs to build a package: the proof of its items, their names and places, and its files."""
