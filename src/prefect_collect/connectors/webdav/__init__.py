"""The connector for folders on WebDAV servers (RFC 4918)."""
