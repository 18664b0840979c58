"""The connector for Amazon S3 and compatible servers: listed with boto3, read with libcurl."""
