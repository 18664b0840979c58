"""The connector for folders of a file system."""
