module s3bench

go 1.25
