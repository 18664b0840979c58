"""What S3, Google Cloud Storage and Azure Blob Storage share: listings in pages, and objects read by libcurl."""
