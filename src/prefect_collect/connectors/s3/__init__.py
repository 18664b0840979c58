"""Amazon S3 and what speaks its protocol, read over libcurl."""
