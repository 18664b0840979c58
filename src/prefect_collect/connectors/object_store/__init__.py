"""The connector for Google Cloud Storage and Azure Blob Storage, by libcurl; their own libraries give the tokens."""
