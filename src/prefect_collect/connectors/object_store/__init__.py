"""Google Cloud Storage and Azure Blob Storage, read by obstore."""
