"""Detached signatures and time stamps of packages: of the fingerprint, which covers every byte of a package."""
