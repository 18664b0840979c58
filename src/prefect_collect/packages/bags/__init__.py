"""Bags (RFC 8493): how they are built and checked."""
