"""The connector for Amazon S3 and compatible servers: listed and read with libcurl."""
