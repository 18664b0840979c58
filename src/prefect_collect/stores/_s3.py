"""A store in an S3 bucket."""

from __future__ import annotations


class S3Store:
    """Written next."""
