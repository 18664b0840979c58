"""What is said of a mail message, whatever it comes from: its name in a path, and its metadata in the manifest."""
