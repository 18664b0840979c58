"""The connector for Google Cloud Storage and Azure Blob Storage, on obstore."""
