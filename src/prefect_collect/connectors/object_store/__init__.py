"""The connector for Google Cloud Storage and Azure Blob Storage, by libcurl; obstore finds the credentials."""
